//! Golden definitions: what was stored once is read for ever, and means what it meant.
//!
//! `stored/level-N/NAME.yaml` and `NAME.binpb` are the row of the log that a program of that
//! language level stored; `NAME.json` is what a saga of it knows, and `NAME.snap` what is made
//! of that: conditions, requests, labels. Nothing in a level's folder changes once a program
//! of that level was released. `INSTA_UPDATE=always` stores a definition that is new.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use orchestrator::definition::{
    CompiledDefinition, LANGUAGE_LEVEL, Rendered, ReplyMeaning, Unreadable,
};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use saga_core::{Direction, StepIndex};
use serde_json::Value as Json;

use super::{
    reports::contracts,
    sample::{Data, kinds, pool},
};

/// Those of level 1 that today's rules refuse.
const REFUSED_TODAY: [&str; 1] = ["no-inquiry"];

struct Golden {
    level: u32,
    name: String,
    folder: PathBuf,
}

impl Golden {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for level in 1..=LANGUAGE_LEVEL {
            let folder = folder(level);
            let mut names: Vec<String> = fs::read_dir(&folder)
                .unwrap_or_else(|_| panic!("level {level} has no golden definitions"))
                .filter_map(|it| {
                    let name = it.unwrap().file_name().into_string().unwrap();
                    name.strip_suffix(".yaml").map(str::to_owned)
                })
                .collect();
            names.sort();
            all.extend(names.into_iter().map(|name| Self { level, name, folder: folder.clone() }));
        }
        all
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", self.name))
    }

    fn yaml(&self) -> String {
        fs::read_to_string(self.path("yaml")).unwrap()
    }

    /// The types that were stored with it, in one pool, to read and write its data.
    fn pool(&self) -> DescriptorPool {
        match self.level {
            1 | 2 => DescriptorPool::decode(self.types().as_slice()).unwrap(),
            _ if self.yaml().starts_with("# types: kinds") => kinds(),
            _ => pool(),
        }
    }

    /// The types that were stored with it, as they are stored.
    fn types(&self) -> Vec<u8> {
        let file = self.path("binpb");
        if !file.exists() && std::env::var("INSTA_UPDATE").is_ok_and(|it| it == "always") {
            let yaml = self.yaml();
            let types = if yaml.starts_with("# types: kinds") { kinds() } else { pool() };
            let checked = CompiledDefinition::check(&yaml, &self.name, &types.into()).unwrap();
            fs::write(&file, checked.definition.types()).unwrap();
        }
        fs::read(&file).unwrap()
    }

    fn read(&self) -> CompiledDefinition {
        match CompiledDefinition::read(&self.yaml(), &self.name, self.level, &self.types()) {
            Ok(definition) => definition,
            Err(error) => panic!("level {}, {}: {error}", self.level, self.name),
        }
    }

    /// What a saga of it knows.
    fn data(&self, definition: &CompiledDefinition) -> Data {
        let told = fs::read_to_string(self.path("json")).unwrap();
        let told: Json = serde_json::from_str(&told).unwrap();
        let types = self.pool();
        let input = types.get_message_by_name(definition.input_type()).unwrap();
        let reply = |step: StepIndex| {
            let name = &definition.core.step(step).name;
            let given = told["replies"].get(name)?;
            let spec = definition.call(step, Direction::Forward)?;
            Some(message(&spec.reply_type, given).encode_to_vec().into())
        };
        let signal = definition.signals().next().and_then(|signal| {
            let of = types.get_message_by_name(signal.type_name()).unwrap();
            Some(message(&of, told.get("signal")?).encode_to_vec().into())
        });
        let text = |at: usize| told["failure"][at].as_str().unwrap_or("").to_owned().leak();
        Data {
            input: message(&input, &told["input"]).encode_to_vec().into(),
            replies: definition.core.indices().map(reply).collect(),
            signal,
            failure: Some((text(0), text(1))),
        }
    }

    /// All that is made of it for one saga.
    fn told(&self) -> String {
        let definition = self.read();
        let data = self.data(&definition);
        let mut told = format!("hash {}\n", hex(&definition.hash));
        for (name, value) in definition.labels(&data).unwrap() {
            writeln!(told, "label {name} = {value}").unwrap();
        }
        for step in definition.core.indices() {
            let core = definition.core.step(step);
            let marks = [(core.pivot, " pivot"), (core.compensable, " compensable")];
            let marks: String = marks.iter().filter(|it| it.0).map(|it| it.1).collect();
            let after: Vec<u8> = core.after.iter().map(|it| it.0).collect();
            writeln!(told, "\nstep {} after {after:?}{marks}", core.name).unwrap();
            writeln!(told, "  {:?}, {:?}", core.kind, core.on_unknown).unwrap();
            for policy in [core.retry, core.compensation_retry, core.resolve_retry] {
                writeln!(told, "  {policy:?}").unwrap();
            }
            writeln!(told, "  begins: {:?}", definition.begins(step, &data)).unwrap();
            if definition.signals().any(|it| it.step == step) {
                writeln!(told, "  verdict: {:?}", definition.judge(step, &data)).unwrap();
            }
            for direction in [Direction::Forward, Direction::Backward] {
                told.push_str(&self.call(&definition, step, direction, &data));
            }
        }
        told
    }

    fn call(
        &self,
        definition: &CompiledDefinition,
        step: StepIndex,
        direction: Direction,
        data: &Data,
    ) -> String {
        let Some(spec) = definition.call(step, direction) else { return String::new() };
        let path = spec.path.path();
        let head =
            format!("  {} {}{path} in {:?}", direction.as_str(), spec.participant, spec.timeout);
        let made = match definition.render(step, direction, data) {
            Ok(Rendered::Request(bytes)) => {
                let (service, method) = path[1..].split_once('/').unwrap();
                let service = self.pool().get_service_by_name(service).unwrap();
                let method = service.methods().find(|it| it.name() == method).unwrap();
                let json = DynamicMessage::decode(method.input(), bytes.clone()).unwrap();
                // Entries of maps in order.
                let json = serde_json::to_value(&json).unwrap();
                format!("{json}\n    {}", hex(&bytes))
            }
            Ok(Rendered::Skip) => "skipped".to_owned(),
            Err(error) => error.to_string(),
        };
        let echo = match self.level {
            1 => String::new(),
            _ => self.echo(definition, step, direction, data),
        };
        format!("{head}, {:?}\n    {made}\n{echo}", spec.refusals)
    }

    /// What the saga's reply of the step, and an empty one, are to this call.
    fn echo(
        &self,
        definition: &CompiledDefinition,
        step: StepIndex,
        direction: Direction,
        data: &Data,
    ) -> String {
        let stored = data.replies[step.at()].clone().unwrap_or_default();
        let [stored, empty] = [stored, Bytes::new()].map(|reply| {
            match definition.check_reply(step, direction, &reply, data) {
                Ok(ReplyMeaning::Done) => "echoes".to_owned(),
                Ok(ReplyMeaning::Refused { reason }) => format!("says no: {reason}"),
                Err(bad) => bad.to_string(),
            }
        });
        format!("    reply: {stored}\n    empty: {empty}\n")
    }
}

fn folder(level: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/definitions/stored/level-{level}"))
}

fn message(of: &MessageDescriptor, json: &Json) -> DynamicMessage {
    DynamicMessage::deserialize(of.clone(), json).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_stored_definition_is_read_for_ever_and_makes_the_same_requests() {
    let mut read = BTreeMap::new();
    for golden in Golden::all() {
        let told = golden.told();
        *read.entry(golden.level).or_insert(0) += 1;
        insta::with_settings!({
            snapshot_path => &golden.folder, prepend_module_to_snapshot => false,
            omit_expression => true
        }, {
            insta::assert_snapshot!(golden.name.as_str(), told);
        });
    }
    assert!(read.values().all(|count| 0 < *count), "{read:?}");
}

/// The rules that refuse these are in force, and none of them is asked when they are read:
/// the test above reads them.
#[test]
fn what_is_stored_is_read_though_the_rules_of_today_refuse_it() {
    let refused: Vec<String> = Golden::all()
        .into_iter()
        .filter(|golden| {
            let contracts = contracts(golden.pool());
            CompiledDefinition::check(&golden.yaml(), &golden.name, &contracts).is_err()
        })
        .map(|golden| golden.name)
        .collect();
    assert_eq!(refused, REFUSED_TODAY);
}

/// As though each of these rules had been made after a definition that breaks it was stored.
#[test]
fn a_rule_that_was_made_later_refuses_at_registration_and_leaves_what_is_stored_alone() {
    let rules = [
        "compensation-missing",
        "conditional-pivot",
        "name",
        "pivot-parallel",
        "pivot-twice",
        "refusal-after-pivot",
        "refusal-code",
        "signal-twice",
        "streaming-method",
        "unknown-key",
    ];
    for rule in rules {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions/cases");
        let yaml = fs::read_to_string(cases.join(format!("{rule}.yaml"))).unwrap();
        let types = if yaml.starts_with("# types: kinds") { kinds() } else { pool() };
        let refused = CompiledDefinition::check(&yaml, rule, &types.clone().into()).unwrap_err();
        assert!(refused.findings.iter().any(|it| it.rule == rule), "{rule}: {refused:?}");
        let read = CompiledDefinition::read(&yaml, rule, 1, &types.encode_to_vec());
        assert!(read.is_ok(), "{rule}: {read:?}");
    }
}

#[test]
fn what_a_newer_program_has_stored_is_not_guessed_at() {
    let golden = Golden::all().swap_remove(0);
    for level in [0, LANGUAGE_LEVEL + 1] {
        let read = CompiledDefinition::read(&golden.yaml(), "x", level, &golden.types());
        assert!(matches!(read, Err(Unreadable::Newer { .. })), "{level}: {read:?}");
    }
}

#[test]
fn damage_is_told_and_is_no_panic() {
    let golden = Golden::all().swap_remove(0);
    let yaml = golden.yaml();
    for (text, types) in
        [("", golden.types()), ("kind: [", golden.types()), (yaml.as_str(), Vec::new())]
    {
        let read = CompiledDefinition::read(text, "x", 1, &types);
        assert!(matches!(read, Err(Unreadable::Broken(_))), "{text}: {read:?}");
    }
}

/// What names a definition is not what the check thinks of it.
#[test]
fn a_text_is_the_definition_that_it_was_stored_as() {
    for golden in Golden::all() {
        let identity = CompiledDefinition::identity(&golden.yaml()).unwrap();
        let read = golden.read();
        assert_eq!(identity.hash, read.hash, "{}", golden.name);
        assert_eq!((identity.name, identity.version), (read.core.name, read.core.version));
    }
    assert_eq!(CompiledDefinition::identity("kind: ["), None);
}
