//! Random requests behind the pivot, on random inputs: what the check takes for safe has a value,
//! whatever a client sends.

use saga_core::{Direction, StepIndex};
use saga_definition::CompiledDefinition;

use super::world::{Data, contracts, served};

const TYPES: &str = "syntax = 'proto3'; package s; service S { rpc Do(In) returns (In); } message L { \
    int64 qty = 1; string sku = 2; } message In { string text = 1; int64 n = 2; int64 m = 3; int32 i = \
    4; uint64 u = 5; repeated string names = 6; repeated L lines = 7; map<string, string> by = 8; \
    repeated int64 ns = 9; bool b = 10; uint32 u32 = 11; }";

/// Requests that are tried, and inputs of each that is taken for safe.
const REQUESTS: u64 = 1_500;
const INPUTS: u64 = 40;

/// Numbers from a seed: the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one<'t>(&mut self, of: &[&'t str]) -> &'t str {
        of[self.below(of.len())]
    }

    /// A whole number, in depth at most.
    fn int(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .one(&["input.n", "input.m", "input.i", "0", "1", "2", "-1", "7"])
                .to_owned();
        }
        let deeper = depth - 1;
        match self.below(9) {
            0 => format!("({} + {})", self.int(deeper), self.int(deeper)),
            1 => format!("({} - {})", self.int(deeper), self.int(deeper)),
            2 => format!("({} / {})", self.int(deeper), self.int(deeper)),
            3 => format!("({} % {})", self.int(deeper), self.int(deeper)),
            4 => format!("size({})", self.one(&["input.names", "input.ns", "input.text"])),
            5 => format!("input.ns[{}]", self.int(0)),
            6 => format!("int({})", self.text(deeper)),
            _ => format!(
                "({} ? {} : {})",
                self.condition(deeper),
                self.int(deeper),
                self.int(deeper)
            ),
        }
    }

    fn text(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.one(&["input.text", "'12'", "''"]).to_owned();
        }
        let deeper = depth - 1;
        match self.below(6) {
            0 => format!("input.names[{}]", self.int(0)),
            1 => "input.by['k']".to_owned(),
            2 => format!("{}.substring(0, {})", self.text(0), self.int(0)),
            3 => format!("string({})", self.int(deeper)),
            4 => format!("({} + {})", self.text(deeper), self.text(0)),
            _ => {
                format!("({} ? {} : {})", self.condition(deeper), self.text(deeper), self.text(0))
            }
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        let order = ["<", "<=", ">", ">=", "==", "!="];
        if depth == 0 {
            return match self.below(8) {
                0 => format!("size(input.names) {} {}", self.one(&order), self.int(0)),
                1 => format!("size(input.ns) {} {}", self.one(&order), self.int(0)),
                2 => format!("{} {} {}", self.int(0), self.one(&order), self.int(0)),
                3 => "'k' in input.by".to_owned(),
                4 => "input.text.matches('^-?[0-9]{1,3}$')".to_owned(),
                5 => self.one(&["has(input.names)", "has(input.n)", "input.ns != []"]).to_owned(),
                6 => self
                    .one(&[
                        "input.ns.all(x, x > 0)",
                        "input.ns.exists(x, x == 2)",
                        "input.n in [2, 7]",
                    ])
                    .to_owned(),
                _ => format!("size(input.text) {} {}", self.one(&order), self.int(0)),
            };
        }
        let deeper = depth - 1;
        match self.below(5) {
            0 => format!("!({})", self.condition(deeper)),
            1 | 2 => format!("({} && {})", self.condition(deeper), self.condition(deeper)),
            3 => format!("({} || {})", self.condition(deeper), self.condition(deeper)),
            _ => format!("{} {} {}", self.int(deeper), self.one(&order), self.int(0)),
        }
    }

    fn field(&mut self) -> String {
        let depth = 1 + self.below(3);
        match self.below(6) {
            0 => format!("i: \"{}\"", self.int(depth)),
            1 => format!("u: \"{}\"", self.int(depth)),
            2 => format!("b: \"{}\"", self.condition(depth)),
            3 => format!("text: \"{}\"", self.text(depth)),
            4 => format!("ns: \"input.lines.map(l, {}, {} / l.qty)\"", self.each(), self.int(0)),
            _ => format!("n: \"{}\"", self.int(depth)),
        }
    }

    fn each(&mut self) -> &'static str {
        self.one(&["l.qty > 0", "l.qty != 0", "l.qty >= 0", "!(l.qty == 0)", "l.sku != ''"])
    }

    fn input(&mut self) -> String {
        let numbers =
            ["0", "1", "-1", "2", "7", "-9223372036854775808", "9223372036854775807", "1000"];
        let texts = ["", "a", "12", "-3", "0", "abc", "99999999999999999999", "-"];
        let [n, m] = [self.one(&numbers), self.one(&numbers)];
        let i = self.one(&["0", "1", "-1", "2", "2147483647", "-2147483648"]);
        let many = |dice: &mut Self, of: &[&str], quote: &str| {
            let items: Vec<String> =
                (0..dice.below(4)).map(|_| format!("{quote}{}{quote}", dice.one(of))).collect();
            format!("[{}]", items.join(", "))
        };
        let names = many(self, &texts, "\"");
        let ns = many(self, &numbers, "\"");
        let lines: Vec<String> = (0..self.below(3))
            .map(|_| {
                format!(
                    "{{\"qty\": \"{}\", \"sku\": \"{}\"}}",
                    self.one(&numbers),
                    self.one(&texts)
                )
            })
            .collect();
        let by = self.one(&["{}", "{\"k\": \"v\"}", "{\"j\": \"v\"}"]);
        format!(
            "{{\"n\": \"{n}\", \"m\": \"{m}\", \"i\": {i}, \"text\": \"{}\", \"names\": {names}, \"ns\": \
             {ns}, \"by\": {by}, \"lines\": [{}]}}",
            self.one(&texts),
            lines.join(", ")
        )
    }
}

#[test]
fn what_is_taken_for_safe_never_fails() {
    let contracts = contracts([("p", served(&[("s.proto", TYPES)]))]);
    let (mut safe, mut refused) = (0, 0);
    for seed in 1..=REQUESTS {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let when = if dice.below(2) == 0 {
            String::new()
        } else {
            format!("    when: \"{}\"\n", dice.condition(1))
        };
        let field = dice.field();
        let yaml = format!(
            "kind: Saga\nname: one\nversion: 1\ninput: s.In\nsteps:\n  - name: end\n    pivot: true\n    \
             on_unknown: retry\n    action: {{ call: p/s.S/Do }}\n  - name: last\n    on_unknown: \
             retry\n{when}    action: {{ call: p/s.S/Do, request: {{ {field} }} }}\n"
        );
        let compiled = match CompiledDefinition::check(&yaml, "test.yaml", &contracts) {
            Ok(compiled) => compiled,
            Err(report) => {
                let limbo = |rule: &str| ["may-fail-in-limbo", "wrong-type"].contains(&rule);
                assert!(report.findings.iter().any(|it| limbo(it.rule)), "{yaml}{report:?}");
                refused += 1;
                continue;
            }
        };
        if compiled.warnings.iter().any(|it| it.rule == "may-fail-in-limbo") {
            continue;
        }
        safe += 1;
        for _ in 0..INPUTS {
            let input = dice.input();
            let definition = &compiled.definition;
            let data =
                Data { input: definition.encode_input_json(&input).unwrap(), ..Data::default() };
            let made = definition.render(StepIndex(1), Direction::Forward, &data);
            assert!(made.is_ok(), "seed {seed}: {when}{field}\n{input}\n{made:?}");
        }
    }
    assert!(200 < safe && 200 < refused, "{safe} are safe, {refused} refused");
}
