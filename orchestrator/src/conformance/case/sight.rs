//! Whether what a rule did can be seen: the number before, and after.

use super::Case;
use crate::{
    conformance::{
        Verdict,
        finding::{Judged, Judgement, Miss},
    },
    participants::{observe::Number, probe::Answer},
};

/// By how much one effect of the step under test moves the number; or why no effect of it
/// can be seen.
pub(in crate::conformance) type Sight = Result<Number, String>;

/// From where on effects are counted.
#[derive(Debug)]
pub(super) struct Mark {
    /// The number then, or why it is not known.
    number: Sight,
    /// How many effects there are to be since.
    effects: i128,
}

impl Case<'_> {
    /// Counts effects from here on; there are to be `effects`.
    pub(in crate::conformance) async fn mark(&mut self, effects: i128) {
        let number = self.reading().await;
        self.mark = Some(Mark { number, effects });
    }

    /// There are to be so many effects since the mark, as has turned out.
    pub(in crate::conformance) fn expect(&mut self, effects: i128) {
        if let Some(mark) = &mut self.mark {
            mark.effects = effects;
        }
    }

    /// By how much the action moves the number: it is taken once.
    pub(in crate::conformance) async fn calibrated(&mut self) -> Sight {
        let caller = self.bench.caller.as_ref();
        let Some(observer) = &self.bench.check.observer else { return self.reading().await };
        self.prepare().await?;
        let before = self.reading().await?;
        observer.settled(caller, self.data.number, before).await?;
        match self.act().await? {
            Answer::Reply(_) => {}
            answer => return Err(format!("the step is not applied with this input: {answer}")),
        }
        let after = observer.moved(caller, self.data.number, before).await?;
        let moves = after.less(before);
        if moves.is_zero() {
            let name = self.name(self.step);
            let field = &observer.field;
            return Err(format!("{field} stays {before} when {name} takes effect"));
        }
        Ok(moves)
    }

    /// What a rule has shown, by its answers and by the number.
    pub(in crate::conformance) async fn judgement(
        &self,
        judged: Judged,
        sight: &Sight,
    ) -> Judgement {
        let (answers, unfit) = match judged {
            Ok(()) => (Verdict::Pass { note: self.note.clone() }, None),
            Err(Miss::Broken { seen, expected }) => (Verdict::Fail { seen, expected }, None),
            Err(Miss::NotTried(why)) => return Judgement::not_checked(why),
            Err(Miss::Unfit(why)) => {
                return Judgement { unfit: Some(why.clone()), ..Judgement::not_checked(why) };
            }
            Err(Miss::NotSeen(why)) => {
                let verdict = Verdict::NotObserved { why };
                return Judgement { answers: verdict.clone(), effect: verdict, unfit: None };
            }
        };
        let effect = match &self.mark {
            None => {
                let why = "its answers broke off before there was an effect to count";
                Verdict::NotChecked { why: why.to_owned() }
            }
            Some(mark) => match self.compared(mark, sight).await {
                Ok(verdict) => verdict,
                Err(why) => Verdict::NotObserved { why },
            },
        };
        Judgement { answers, effect, unfit }
    }

    /// The observed number as it is.
    async fn reading(&self) -> Sight {
        let Some(observer) = &self.bench.check.observer else {
            return Err("no number is observed; --observe names one".to_owned());
        };
        observer.read(self.bench.caller.as_ref(), self.data.number).await
    }

    async fn compared(&self, mark: &Mark, sight: &Sight) -> Result<Verdict, String> {
        let moves = sight.clone()?;
        let before = mark.number.clone()?;
        let expected = before.after(mark.effects, moves);
        let Some(observer) = &self.bench.check.observer else {
            return Err("no number is observed".to_owned());
        };
        let caller = self.bench.caller.as_ref();
        let now = observer.settled(caller, self.data.number, expected).await?;
        if now == expected {
            return Ok(Verdict::PASS);
        }
        let seen = format!(
            "{} went from {before} to {now}, where one effect moves it by {moves}",
            observer.field
        );
        Ok(Verdict::Fail { seen, expected: expected.to_string() })
    }
}
