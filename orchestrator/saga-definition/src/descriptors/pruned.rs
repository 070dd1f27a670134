//! One file, without what nobody needs of it.

use prost_types::{DescriptorProto, FieldDescriptorProto, field_descriptor_proto::Type};

use super::{
    lower::{Lowering, Resolved, enumeration},
    needed::Reached,
    served::{ServedTypes, Symbol, SymbolKind, joined},
    wire,
};

/// One file with what is needed of it.
pub(super) struct Pruned<'a> {
    pub(super) types: &'a ServedTypes,
    pub(super) number: usize,
    pub(super) reached: &'a Reached,
}

impl Pruned<'_> {
    pub(super) fn needs(&self, scope: &str, name: &str) -> bool {
        let full = joined(scope, name);
        // The same name may be declared elsewhere.
        let here = self.types.symbols.get(&full).is_some_and(|it: &Symbol| it.file == self.number);
        here && self.reached.types.contains(&full)
    }

    /// The message with what is needed of it. As a shell where only something within is
    /// needed, and `None` where nothing is.
    pub(super) fn message(
        &self,
        message: &wire::Message,
        scope: &str,
        path: &[usize],
        lowering: Lowering,
    ) -> Option<DescriptorProto> {
        let full = joined(scope, &message.name);
        let inner = lowering.inside(message);
        let nested = message
            .messages
            .iter()
            .enumerate()
            .filter_map(|(at, it)| self.message(it, &full, &[path, &[at]].concat(), inner));
        let nested: Vec<_> = nested.collect();
        let enums = message.enums.iter().filter(|it| self.needs(&full, &it.name));
        let enums: Vec<_> = enums.map(enumeration).collect();
        let extensions = self.extensions(path, inner);
        let needed = self.needs(scope, &message.name);
        if !needed && nested.is_empty() && enums.is_empty() && extensions.is_empty() {
            return None;
        }
        let bare = if needed {
            lowering.message(message, &|field| self.resolved(&full, field))
        } else {
            DescriptorProto { name: Some(message.name.clone()), ..DescriptorProto::default() }
        };
        Some(DescriptorProto {
            nested_type: nested,
            enum_type: enums,
            extension: extensions,
            ..bare
        })
    }

    pub(super) fn extensions(
        &self,
        within: &[usize],
        lowering: Lowering,
    ) -> Vec<FieldDescriptorProto> {
        let all = self.reached.extensions.get(&self.number);
        let here = all.into_iter().flatten().filter(|it| it.within == within);
        let made = here.filter_map(|it| {
            let field = self.types.extension(it)?;
            Some(lowering.field(field, self.resolved(&it.scope, field), false))
        });
        made.collect()
    }

    fn resolved(&self, scope: &str, field: &wire::Field) -> Resolved {
        let absolute = |name: &str| match name {
            "" => None,
            name => self.types.resolve(scope, name).map(|it| format!(".{it}")),
        };
        let full = self.types.resolve(scope, &field.type_name);
        let symbol = full.as_ref().and_then(|it| self.types.symbols.get(it));
        let symbol = symbol.filter(|_| !field.type_name.is_empty());
        let message = symbol.and_then(|symbol| match &symbol.kind {
            SymbolKind::Message(path) => self.types.message(symbol.file, path),
            SymbolKind::Enum | SymbolKind::Service(_) => None,
        });
        let is_map = message.and_then(|it| it.options.as_ref()).is_some_and(|it| it.map_entry);
        let of = match (field.of, symbol.map(|it| &it.kind)) {
            (0, Some(SymbolKind::Message(_))) => Type::Message as i32,
            (0, Some(SymbolKind::Enum)) => Type::Enum as i32,
            (of, _) => of,
        };
        let (type_name, extendee) = (absolute(&field.type_name), absolute(&field.extendee));
        Resolved { of, type_name, extendee, is_map }
    }
}
