//! A pool with what is needed of what a participant serves, and nothing else: types that
//! nobody calls cannot hinder those that are called.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use prost_reflect::DescriptorPool;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};

use crate::CallSpec;

use super::{
    contradiction, loss,
    lower::enumeration,
    pruned::Pruned,
    served::{Extension, ServedTypes, SymbolKind, joined},
    wire,
};

/// Messages and enums that the calls of one definition may need of one participant.
const TYPES_MAX: usize = 10_000;

/// Types that are looked at for the sake of what might stand in an `Any`, and of extensions.
const STEPS_MAX: usize = 50_000;

const ANY: &str = "google.protobuf.Any";

/// What is needed of one participant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Methods, by the full name of their service.
    pub(crate) methods: BTreeMap<String, BTreeSet<String>>,
    pub(crate) messages: BTreeSet<String>,
}

/// Types that cannot be used. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{symbol} in file {file}: {message}")]
pub struct Unusable {
    pub(crate) file: String,
    pub(crate) symbol: String,
    pub(crate) message: String,
}

/// What is needed, found.
#[derive(Debug, Default)]
pub(super) struct Reached {
    pub(super) types: HashSet<String>,
    /// By file, the files whose types it may refer to.
    files: BTreeMap<usize, BTreeSet<usize>>,
    pub(super) extensions: BTreeMap<usize, Vec<Extension>>,
    any: bool,
    /// Types that were looked at.
    steps: usize,
}

impl ServedTypes {
    /// A pool of one method, and of all that it refers to.
    ///
    /// # Errors
    ///
    /// [`Unusable`] names the file and the symbol. A method that is not served is only not in
    /// the pool.
    pub fn pool_of_method(&self, service: &str, method: &str) -> Result<DescriptorPool, Unusable> {
        let methods = BTreeSet::from([method.to_owned()]);
        let methods = BTreeMap::from([(service.to_owned(), methods)]);
        self.pool(&Needs { methods, messages: BTreeSet::new() })
    }

    /// How what is served now differs from what a call was checked with, so that its bytes would
    /// mean something else there. `None`: they mean the same, and more fields are no change; or
    /// nobody serves it, which the call will be told.
    #[must_use]
    pub fn change(&self, call: &CallSpec) -> Option<String> {
        let (service, name) = call.path.path().trim_start_matches('/').split_once('/')?;
        self.methods(service)?.contains(&name).then_some(())?;
        let pool = match self.pool_of_method(service, name) {
            Ok(pool) => pool,
            Err(unusable) => return Some(unusable.to_string()),
        };
        let service = pool.get_service_by_name(service)?;
        let method = service.methods().find(|it| it.name() == name)?;
        let (request, reply) = (method.input(), method.output());
        contradiction(&call.request_type, &request)
            .or_else(|| contradiction(&call.reply_type, &reply))
            .or_else(|| loss(&call.request_type, &request))
            .or_else(|| loss(&call.reply_type, &reply))
    }

    /// A pool of these methods and messages, and of all that they refer to.
    ///
    /// # Errors
    ///
    /// [`Unusable`] names the file and the symbol.
    pub(crate) fn pool(&self, needs: &Needs) -> Result<DescriptorPool, Unusable> {
        let mut reached = Reached::default();
        let mut open = Vec::new();
        for (service, methods) in &needs.methods {
            let (Some(symbol), Some(declared)) = (self.symbols.get(service), self.service(service))
            else {
                continue;
            };
            let used = declared.methods.iter().filter(|it| methods.contains(&it.name));
            let imports = reached.files.entry(symbol.file).or_default();
            for name in used.flat_map(|it| [&it.input, &it.output]) {
                let full = self.found(symbol.file, service, service, name)?;
                imports.extend(self.symbols.get(&full).map(|it| it.file));
                open.push(full);
            }
        }
        open.extend(needs.messages.iter().filter(|it| self.has_message(it)).cloned());
        self.reach(open, &mut reached, &mut Vec::new())?;
        reached.steps = 0;
        if reached.any {
            self.reach_contents(&mut reached);
        }
        self.reach_extensions(&mut reached);
        self.build(needs, &reached)
    }

    /// Adds types, and all that they refer to.
    fn reach(
        &self,
        mut open: Vec<String>,
        reached: &mut Reached,
        added: &mut Vec<String>,
    ) -> Result<(), Unusable> {
        while let Some(name) = open.pop() {
            if reached.types.contains(&name) {
                continue;
            }
            let Some(symbol) = self.symbols.get(&name) else { continue };
            let unusable = |message: String| self.unusable(symbol.file, &name, message);
            if symbol.ambiguous {
                return Err(unusable("it is declared twice".to_owned()));
            }
            if let Err(what) = &self.lowerings[symbol.file] {
                return Err(unusable(format!("the file is in {what}, which is not known")));
            }
            if reached.types.len() == TYPES_MAX {
                return Err(unusable(format!("more than {TYPES_MAX} types are needed")));
            }
            reached.steps += 1;
            reached.any |= name == ANY;
            if let SymbolKind::Message(path) = &symbol.kind {
                let message = self.message(symbol.file, path);
                for field in message.into_iter().flat_map(|it| &it.fields) {
                    if field.type_name.is_empty() {
                        continue;
                    }
                    let full = self.found(symbol.file, &name, &name, &field.type_name)?;
                    let file = self.symbols.get(&full).map(|it| it.file);
                    reached.files.entry(symbol.file).or_default().extend(file);
                    open.push(full);
                }
            }
            added.push(name.clone());
            reached.types.insert(name);
        }
        Ok(())
    }

    /// What may be in an `Any`: the messages of the files that are needed anyway, as far as
    /// they can be used.
    fn reach_contents(&self, reached: &mut Reached) {
        let of_types = reached.types.iter().filter_map(|it| self.symbols.get(it));
        let files: BTreeSet<usize> =
            of_types.map(|it| it.file).chain(reached.files.keys().copied()).collect();
        for name in self.messages() {
            if files.contains(&self.symbols[name].file) {
                self.reach_where_possible(vec![name.to_owned()], reached);
            }
        }
    }

    /// Adds types, and all that they refer to, or nothing.
    fn reach_where_possible(&self, open: Vec<String>, reached: &mut Reached) -> bool {
        if STEPS_MAX < reached.steps {
            return false;
        }
        let mut added = Vec::new();
        let done = self.reach(open, reached, &mut added).is_ok();
        if !done {
            added.iter().for_each(|it| {
                reached.types.remove(it);
            });
        }
        done
    }

    /// Extensions of what is needed, as far as they can be used. Others stay unknown fields,
    /// which are kept as they are.
    fn reach_extensions(&self, reached: &mut Reached) {
        let mut extended: Vec<&String> =
            self.extensions.keys().filter(|it| reached.types.contains(*it)).collect();
        extended.sort_unstable();
        for name in extended {
            for extension in &self.extensions[name] {
                let Some(field) = self.extension(extension) else { continue };
                let of = self.resolve(&extension.scope, &field.type_name);
                if !field.type_name.is_empty() && of.is_none() {
                    continue;
                }
                if self.reach_where_possible(of.iter().cloned().collect(), reached) {
                    let imports = reached.files.entry(extension.file).or_default();
                    let used = of.iter().chain([name]).filter_map(|it| self.symbols.get(it));
                    imports.extend(used.map(|it| it.file));
                    let all = reached.extensions.entry(extension.file).or_default();
                    all.push(extension.clone());
                }
            }
        }
    }

    pub(super) fn extension(&self, it: &Extension) -> Option<&wire::Field> {
        match it.within.as_slice() {
            [] => self.files[it.file].extensions.get(it.at),
            within => self.message(it.file, within)?.extensions.get(it.at),
        }
    }

    fn found(&self, file: usize, of: &str, scope: &str, name: &str) -> Result<String, Unusable> {
        self.resolve(scope, name).ok_or_else(|| {
            let message = format!("it refers to `{name}`, which no file declares");
            self.unusable(file, of, message)
        })
    }

    fn unusable(&self, file: usize, symbol: &str, message: String) -> Unusable {
        let file = self.files[file].name.clone();
        Unusable { file, symbol: symbol.to_owned(), message }
    }

    fn build(&self, needs: &Needs, reached: &Reached) -> Result<DescriptorPool, Unusable> {
        let of_types = reached.types.iter().chain(needs.methods.keys());
        let of_types = of_types.filter_map(|it| self.symbols.get(it)).map(|it| it.file);
        let used: BTreeSet<usize> = of_types.chain(reached.extensions.keys().copied()).collect();
        let mut set = FileDescriptorSet::default();
        for number in &used {
            set.file.push(self.file(*number, needs, reached, &used)?);
        }
        let files: Vec<&str> = set.file.iter().map(|it| it.name()).collect();
        let files = files.join(", ");
        let unusable = |message: String| Unusable {
            file: files.clone(),
            symbol: "a declaration".to_owned(),
            message,
        };
        // What strangers may have written is not all that the library has been tried with.
        let built = catch_unwind(AssertUnwindSafe(|| {
            DescriptorPool::from_file_descriptor_set(set).map_err(|error| error.to_string())
        }));
        match built {
            Ok(pool) => pool.map_err(unusable),
            Err(_) => Err(unusable("it is not understood".to_owned())),
        }
    }

    fn file(
        &self,
        number: usize,
        needs: &Needs,
        reached: &Reached,
        used: &BTreeSet<usize>,
    ) -> Result<FileDescriptorProto, Unusable> {
        let file = &self.files[number];
        let lowering = self.lowerings[number].clone().map_err(|what| {
            self.unusable(
                number,
                &file.package,
                format!("the file is in {what}, which is not known"),
            )
        })?;
        let pruned = Pruned { types: self, number, reached };
        let messages =
            file.messages.iter().enumerate().filter_map(|(at, message)| {
                pruned.message(message, &file.package, &[at], lowering)
            });
        let enums = file.enums.iter().filter(|it| pruned.needs(&file.package, &it.name));
        Ok(FileDescriptorProto {
            name: Some(self.file_name(number)),
            package: Some(file.package.clone()),
            dependency: reached
                .files
                .get(&number)
                .into_iter()
                .flatten()
                .filter(|it| **it != number && used.contains(it))
                .map(|it| self.file_name(*it))
                .collect(),
            message_type: messages.collect(),
            enum_type: enums.map(enumeration).collect(),
            service: self.file_services(file, needs),
            extension: pruned.extensions(&[], lowering),
            syntax: Some(if lowering.proto3 { "proto3" } else { "proto2" }.to_owned()),
            ..FileDescriptorProto::default()
        })
    }

    /// Two files may have one name, where nobody compiled them together.
    fn file_name(&self, number: usize) -> String {
        let name = &self.files[number].name;
        let before = self.files[..number].iter().any(|it| it.name == *name);
        if before { format!("{name}#{number}") } else { name.clone() }
    }

    fn file_services(&self, file: &wire::File, needs: &Needs) -> Vec<ServiceDescriptorProto> {
        let absolute =
            |scope: &str, name: &str| self.resolve(scope, name).map(|it| format!(".{it}"));
        let services = file.services.iter().filter_map(|service| {
            let full = joined(&file.package, &service.name);
            let used = needs.methods.get(&full)?;
            let methods = service.methods.iter().filter(|it| used.contains(&it.name));
            let methods = methods.map(|it| MethodDescriptorProto {
                name: Some(it.name.clone()),
                input_type: absolute(&full, &it.input),
                output_type: absolute(&full, &it.output),
                client_streaming: it.client_streaming.then_some(true),
                server_streaming: it.server_streaming.then_some(true),
                options: None,
            });
            let (name, method) = (Some(service.name.clone()), methods.collect());
            Some(ServiceDescriptorProto { name, method, options: None })
        });
        services.collect()
    }
}
