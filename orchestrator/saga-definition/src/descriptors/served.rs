//! The types that one participant serves, as it serves them: an index of what its files
//! declare. Nothing is refused here. What a file is not fit for shows when something in it is
//! needed.

use std::collections::{BTreeSet, HashMap};

use prost::Message as _;
use prost_reflect::{DescriptorPool, ReflectMessage as _};

use super::{lower::Lowering, wire};

/// What one participant serves.
#[derive(Debug, Default)]
pub struct ServedTypes {
    pub(super) files: Vec<wire::File>,
    /// How each file is meant; `Err`: in a syntax or edition that nobody knows.
    pub(super) lowerings: Vec<Result<Lowering, String>>,
    /// Where each message, enum and service is declared.
    pub(super) symbols: HashMap<String, Symbol>,
    /// By the full name of what is extended: the extensions, and where they stand.
    pub(super) extensions: HashMap<String, Vec<Extension>>,
}

/// Where something is declared.
#[derive(Clone, Debug)]
pub(super) struct Symbol {
    /// Index of the file.
    pub(super) file: usize,
    pub(super) kind: SymbolKind,
    /// Whether it is declared again, and differently.
    pub(super) ambiguous: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SymbolKind {
    /// The indices of the messages around it, and its own.
    Message(Vec<usize>),
    Enum,
    Service(usize),
}

/// An extension: where the message stands that it is declared in, and which it is there.
#[derive(Clone, Debug)]
pub(super) struct Extension {
    pub(super) file: usize,
    pub(super) scope: String,
    /// The messages around it; empty at the top of the file.
    pub(super) within: Vec<usize>,
    pub(super) at: usize,
}

/// A file that is no file of descriptors. Nothing was read.
#[derive(Debug, thiserror::Error)]
#[error("file {number} of the types cannot be read as google.protobuf.FileDescriptorProto")]
pub struct UnreadableFile {
    /// From 0, in the order in which they were given.
    pub number: usize,
    #[source]
    source: prost::DecodeError,
}

impl ServedTypes {
    /// The types of some files, each an encoded `FileDescriptorProto`, in any order.
    ///
    /// # Errors
    ///
    /// [`UnreadableFile`]: one is something else.
    pub fn read<B: AsRef<[u8]>>(
        files: impl IntoIterator<Item = B>,
    ) -> Result<Self, UnreadableFile> {
        let mut served = Self::default();
        for (number, file) in files.into_iter().enumerate() {
            let file = wire::File::decode(file.as_ref())
                .map_err(|source| UnreadableFile { number, source })?;
            served.add(file);
        }
        served.complete();
        Ok(served)
    }

    /// The types of an encoded `FileDescriptorSet`.
    ///
    /// # Errors
    ///
    /// [`UnreadableFile`]: one of its files is something else. Its number is 0 where it is no
    /// set at all.
    pub fn read_set(set: &[u8]) -> Result<Self, UnreadableFile> {
        let set =
            wire::FileSet::decode(set).map_err(|source| UnreadableFile { number: 0, source })?;
        Self::read(set.files)
    }

    /// Names of the types that its files refer to and none of them declares.
    #[must_use]
    pub fn missing(&self) -> BTreeSet<String> {
        let mut missing = BTreeSet::new();
        for file in &self.files {
            let mut open: Vec<(String, &wire::Message)> =
                file.messages.iter().map(|it| (joined(&file.package, &it.name), it)).collect();
            while let Some((name, message)) = open.pop() {
                for field in &message.fields {
                    if !field.type_name.is_empty()
                        && self.resolve(&name, &field.type_name).is_none()
                    {
                        missing.insert(field.type_name.trim_start_matches('.').to_owned());
                    }
                }
                let inner = message.messages.iter();
                open.extend(inner.map(|it| (joined(&name, &it.name), it)));
            }
            for method in file.services.iter().flat_map(|it| &it.methods) {
                for name in [&method.input, &method.output] {
                    if self.resolve(&file.package, name).is_none() {
                        missing.insert(name.trim_start_matches('.').to_owned());
                    }
                }
            }
        }
        missing
    }

    /// Full names of its services, in order.
    pub(crate) fn services(&self) -> Vec<&str> {
        self.named(|it| matches!(it, SymbolKind::Service(_)))
    }

    /// Full names of its messages, in order.
    pub(crate) fn messages(&self) -> Vec<&str> {
        self.named(|it| matches!(it, SymbolKind::Message(_)))
    }

    fn named(&self, is: impl Fn(&SymbolKind) -> bool) -> Vec<&str> {
        let symbols = self.symbols.iter().filter(|(_, symbol)| is(&symbol.kind));
        let mut names: Vec<&str> = symbols.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Names of the methods of a service. `None`: it is not served.
    #[must_use]
    pub fn methods(&self, service: &str) -> Option<Vec<&str>> {
        let methods = &self.service(service)?.methods;
        Some(methods.iter().map(|it| it.name.as_str()).collect())
    }

    /// Whether a message of this full name is declared.
    #[must_use]
    pub fn has_message(&self, name: &str) -> bool {
        let found = self.symbols.get(name);
        found.is_some_and(|it| matches!(it.kind, SymbolKind::Message(_)))
    }

    pub(super) fn service(&self, name: &str) -> Option<&wire::Service> {
        let symbol = self.symbols.get(name)?;
        let SymbolKind::Service(at) = symbol.kind else { return None };
        self.files[symbol.file].services.get(at)
    }

    pub(super) fn message(&self, file: usize, path: &[usize]) -> Option<&wire::Message> {
        let (first, rest) = path.split_first()?;
        let mut message = self.files.get(file)?.messages.get(*first)?;
        for at in rest {
            message = message.messages.get(*at)?;
        }
        Some(message)
    }

    /// The full name that `name` means within `scope`: protoc writes full names with a leading
    /// dot, other generators leave it out, or write a part of the name.
    pub(super) fn resolve(&self, scope: &str, name: &str) -> Option<String> {
        if let Some(full) = name.strip_prefix('.') {
            return self.symbols.contains_key(full).then(|| full.to_owned());
        }
        let mut scope = scope;
        loop {
            let full = joined(scope, name);
            if self.symbols.contains_key(&full) {
                return Some(full);
            }
            if scope.is_empty() {
                return None;
            }
            scope = scope.rsplit_once('.').map_or("", |(around, _)| around);
        }
    }

    fn add(&mut self, file: wire::File) {
        let number = self.files.len();
        // The same file twice, as several participants of one set would bring it.
        if self.files.contains(&file) {
            return;
        }
        let mut found = Vec::new();
        let mut open: Vec<(String, Vec<usize>)> = Vec::new();
        for (at, message) in file.messages.iter().enumerate() {
            open.push((joined(&file.package, &message.name), vec![at]));
        }
        for of in &file.enums {
            found.push((joined(&file.package, &of.name), SymbolKind::Enum));
        }
        for (at, service) in file.services.iter().enumerate() {
            found.push((joined(&file.package, &service.name), SymbolKind::Service(at)));
        }
        self.lowerings.push(Lowering::of(&file));
        self.files.push(file);
        while let Some((name, path)) = open.pop() {
            let Some(message) = self.message(number, &path) else { continue };
            for (at, inner) in message.messages.iter().enumerate() {
                open.push((joined(&name, &inner.name), [path.as_slice(), &[at]].concat()));
            }
            found
                .extend(message.enums.iter().map(|it| (joined(&name, &it.name), SymbolKind::Enum)));
            found.push((name, SymbolKind::Message(path)));
        }
        for (name, kind) in found {
            match self.symbols.get_mut(&name) {
                Some(known) => known.ambiguous = true,
                None => {
                    self.symbols.insert(name, Symbol { file: number, kind, ambiguous: false });
                }
            }
        }
    }

    /// Adds what all files need.
    fn complete(&mut self) {
        // Everybody knows these, and some servers leave them out.
        let well_known = prost_types::Timestamp::default().descriptor();
        for file in well_known.parent_pool().file_descriptor_protos() {
            let read = wire::File::decode(file.encode_to_vec().as_slice());
            let read = read.expect("what was a pool is a file of descriptors");
            let declares = |name: &str| self.symbols.contains_key(&joined(&read.package, name));
            if !read.messages.iter().any(|it| declares(&it.name)) {
                self.add(read);
            }
        }
        self.find_extensions();
    }

    fn find_extensions(&mut self) {
        let mut found: Vec<(String, Extension)> = Vec::new();
        for (file, declared) in self.files.iter().enumerate() {
            let mut open = vec![(declared.package.clone(), Vec::new(), &declared.extensions)];
            let nested = |scope: &str, path: &[usize], messages: &[wire::Message]| {
                let inner = messages.iter().enumerate();
                inner
                    .map(|(at, it)| (joined(scope, &it.name), [path, &[at]].concat()))
                    .collect::<Vec<_>>()
            };
            let mut messages = nested(&declared.package, &[], &declared.messages);
            while let Some((scope, path)) = messages.pop() {
                let Some(message) = self.message(file, &path) else { continue };
                messages.extend(nested(&scope, &path, &message.messages));
                open.push((scope, path, &message.extensions));
            }
            for (scope, within, extensions) in open {
                for (at, extension) in extensions.iter().enumerate() {
                    if let Some(of) = self.resolve(&scope, &extension.extendee) {
                        let (scope, within) = (scope.clone(), within.clone());
                        found.push((of, Extension { file, scope, within, at }));
                    }
                }
            }
        }
        for (of, extension) in found {
            self.extensions.entry(of).or_default().push(extension);
        }
    }
}

impl From<&DescriptorPool> for ServedTypes {
    fn from(pool: &DescriptorPool) -> Self {
        let mut served = Self::default();
        for file in pool.file_descriptor_protos() {
            let read = wire::File::decode(file.encode_to_vec().as_slice());
            served.add(read.expect("what was a pool is a file of descriptors"));
        }
        served.complete();
        served
    }
}

pub(super) fn joined(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}
