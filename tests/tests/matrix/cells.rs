//! The cells: found, run and counted.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use saga_core::{Ending, OnUnknown, StepIndex, StepKind};
use saga_tests::sim::{
    deployed::{self, Deployed},
    fault::{Defect, Fault},
    scenario::Spoil,
    world::{Death, Fate, Message, Part, Peace, Plan},
};

use crate::{
    trial::{Report, Trial, run},
    waits::{GIVEN, Wait, WaitFault},
};

/// What is tested in a cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) deployed: &'static Deployed,
    pub(crate) step: StepIndex,
    pub(crate) subject: Subject,
    pub(crate) death: Option<Death>,
    /// The step that is refused, so that what is tested comes to pass.
    spoiled_by: Option<StepIndex>,
}

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Message(Part, Fault),
    Wait(WaitFault),
}

/// One fault in one place, and what has to happen so that a saga comes there.
struct OneFault {
    step: String,
    part: Part,
    fault: Fault,
    death: Option<Death>,
    /// Whether every attempt meets it, so that the engine gives up and fences.
    always: bool,
    hits: Arc<Mutex<u32>>,
}

impl Plan for OneFault {
    fn of_message(&mut self, message: &Message) -> Option<Fate> {
        if message.step != self.step {
            return None;
        }
        // An inquiry comes where no attempt was answered.
        if self.part == Part::Inquiry && message.part == Part::Action {
            return Some(Fate { fault: Fault::ReplyLost, counts: false, death: None });
        }
        // Only what is repeated meets a check that finds it.
        let is_first = self.fault == Fault::RefusedByCheck && message.number == 1;
        if is_first && self.part == message.part {
            return Some(Fate { fault: Fault::ReplyLost, counts: false, death: None });
        }
        let mut hits = self.hits.lock().unwrap();
        if message.part != self.part || (0 < *hits && !self.always) {
            return None;
        }
        *hits += 1;
        let death = self.death.filter(|_| *hits == 1);
        Some(Fate { fault: self.fault, counts: true, death })
    }
}

/// A run without faults, refused at one step or at none.
pub(crate) fn probe(deployed: &'static Deployed, spoiled_by: Option<StepIndex>) -> Option<Report> {
    let spoil = spoil_of(deployed, spoiled_by)?;
    let (plan, defect) = (Box::new(Peace), None);
    run(Trial { deployed, spoil, plan, defect, wait: GIVEN })
}

/// What makes the step refuse. `None`: it is not refused by anybody.
fn spoil_of(deployed: &'static Deployed, step: Option<StepIndex>) -> Option<Spoil<'static>> {
    let Some(step) = step else { return Some(Spoil::Nothing) };
    match deployed.core().step(step).kind {
        StepKind::Call => {
            let (_, method) = deployed.target(step, saga_core::Direction::Forward)?;
            // The scenario refuses the first step that calls a method.
            let first = deployed.core().indices().find(|it| {
                let target = deployed.target(*it, saga_core::Direction::Forward);
                target.is_some_and(|it| it.1 == method)
            });
            (first == Some(step)).then_some(Spoil::Method(method))
        }
        StepKind::Wait { .. } => Some(Spoil::Signal),
        StepKind::Given => None,
    }
}

/// All cells of a definition.
pub(crate) fn of(deployed: &'static Deployed, death: Option<Death>) -> Vec<Cell> {
    let core = deployed.core();
    let smooth = probe(deployed, None).expect("every scenario has a smooth course");
    assert_eq!(smooth.ending, Some(Ending::Completed), "{}: {}", core.name, smooth.story());
    assert!(smooth.violations.is_empty(), "{}: {}", core.name, smooth.story());
    let turned: BTreeMap<StepIndex, Report> = core
        .indices()
        .filter(|step| !core.is_after_pivot(*step))
        .filter_map(|step| Some((step, probe(deployed, Some(step))?)))
        .collect();
    for (step, report) in &turned {
        let name = &core.step(*step).name;
        assert_eq!(report.ending, Some(Ending::Compensated), "{name}: {}", report.story());
        assert!(report.violations.is_empty(), "{name}: {}", report.story());
    }
    let mut cells = Vec::new();
    for index in core.indices() {
        let step = core.step(index);
        let mut add = |subject, spoiled_by| {
            cells.push(Cell { deployed, step: index, subject, death, spoiled_by });
        };
        match step.kind {
            StepKind::Call => {
                let part = (step.name.clone(), Part::Action);
                assert!(smooth.left.contains(&part), "nobody calls {part:?}: {}", smooth.story());
                let is_asked = step.on_unknown == OnUnknown::Resolve && !core.is_after_pivot(index);
                for fault in Fault::OF_A_CALL {
                    add(Subject::Message(Part::Action, fault), None);
                }
                for fault in Fault::OF_A_MESSAGE.into_iter().filter(|_| is_asked) {
                    add(Subject::Message(Part::Inquiry, fault), None);
                }
            }
            StepKind::Wait { timer } => {
                for fault in WaitFault::of(timer) {
                    add(Subject::Wait(fault), fault.is_refusal().then_some(index));
                }
            }
            StepKind::Given => {}
        }
        if step.compensable {
            let part = (step.name.clone(), Part::Compensation);
            let way = turned.iter().find(|(_, report)| report.left.contains(&part));
            let (way, _) = way.unwrap_or_else(|| panic!("{}: nobody calls {part:?}", core.name));
            for fault in Fault::OF_A_CALL {
                add(Subject::Message(Part::Compensation, fault), Some(*way));
            }
        }
    }
    cells
}

impl Cell {
    /// Runs it. The number says how often its fault struck.
    pub(crate) fn run(&self, defect: Option<Defect>) -> (Report, u32) {
        let Self { deployed, death, spoiled_by, .. } = *self;
        let hits = Arc::new(Mutex::new(0));
        let core = deployed.core();
        let (plan, wait): (Box<dyn Plan>, Wait) = match self.subject {
            Subject::Message(part, fault) => {
                let fences = part == Part::Action && !core.is_after_pivot(self.step);
                let plan = OneFault {
                    step: core.step(self.step).name.clone(),
                    part,
                    fault,
                    death,
                    always: fences && fault == Fault::LateAfterFence,
                    hits: Arc::clone(&hits),
                };
                (Box::new(plan), GIVEN)
            }
            Subject::Wait(fault) => (Box::new(Peace), Wait { fault, death }),
        };
        let spoil = spoil_of(deployed, spoiled_by).expect("a probe has done this");
        let report = run(Trial { deployed, spoil, plan, defect, wait });
        let hits = *hits.lock().unwrap();
        (report.expect("a probe has done this"), hits)
    }

    /// How the saga must end.
    fn ending(&self) -> Ending {
        let is_fenced = self.subject == Subject::Message(Part::Action, Fault::LateAfterFence)
            && !self.deployed.core().is_after_pivot(self.step);
        let is_refused = match (self.subject, self.deployed.core().step(self.step).kind) {
            (Subject::Wait(fault), StepKind::Wait { timer }) => fault.turns_back(timer),
            _ => false,
        };
        if self.spoiled_by.is_some() || is_fenced || is_refused {
            Ending::Compensated
        } else {
            Ending::Completed
        }
    }

    /// Runs it, and panics with the whole story where it is not as it must be.
    fn check(&self) {
        let (report, hits) = self.run(None);
        let about = || format!("{self}: {}", report.story());
        assert!(report.violations.is_empty(), "{}", about());
        assert_eq!(report.ending, Some(self.ending()), "{}", about());
        if let Subject::Message(_, fault) = self.subject {
            assert!(0 < hits, "nobody met the fault: {}", about());
            assert_eq!(report.fired.get(&fault), Some(&u64::from(hits)), "{}", about());
        }
        if let Subject::Wait(fault) = self.subject {
            let wrong = fault.has_not_happened(&report, self.step);
            assert_eq!(wrong, None, "{}", about());
        }
        let died = |fault| report.fired.get(&fault).copied();
        let expected = |is: Death| (self.death == Some(is)).then_some(1);
        assert_eq!(died(Fault::KilledBeforeAppend), expected(Death::BeforeAppend), "{}", about());
        assert_eq!(died(Fault::KilledAfterAppend), expected(Death::AfterAppend), "{}", about());
    }
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { deployed, step, subject, death, spoiled_by } = self;
        let step = &deployed.core().step(*step).name;
        write!(f, "{} {step} {subject:?}, killed: {death:?}, ", deployed.name)?;
        write!(f, "spoiled by: {spoiled_by:?}")
    }
}

/// Runs all cells of all definitions, and counts them.
pub(crate) fn run_all(death: Option<Death>) -> String {
    let mut counted = String::new();
    let mut total = 0;
    for deployed in deployed::all() {
        let cells = of(deployed, death);
        let count = |is: fn(&Subject) -> bool| cells.iter().filter(|it| is(&it.subject)).count();
        let actions = count(|it| matches!(it, Subject::Message(Part::Action, _)));
        let undoings = count(|it| matches!(it, Subject::Message(Part::Compensation, _)));
        let inquiries = count(|it| matches!(it, Subject::Message(Part::Inquiry, _)));
        let waits = count(|it| matches!(it, Subject::Wait(_)));
        for cell in &cells {
            cell.check();
        }
        total += cells.len();
        let name = &deployed.name;
        writeln!(
            counted,
            "{name:19} {actions:3} actions {undoings:3} compensations {inquiries:3} inquiries \
             {waits:2} waits"
        )
        .unwrap();
    }
    writeln!(counted, "{total} cells").unwrap();
    counted
}
