//! Writes what was decided as one row, and folds what others have written.

use saga_core::encoding;
use saga_draft::{Advance, Subject, labels};
use saga_log::{AppendError, Draft, IndexChange, NewSaga, Standing, Tip, Written};

use super::{Accepted, Creation, DriveError, Refill, Row, Run};
use crate::engine::claim::Loaded;

impl Run {
    /// Writes the row, and counts what is in it once it is durable.
    pub(super) async fn append(
        &mut self,
        advance: &Advance,
        standing: Option<&Standing>,
        creation: Option<Box<Creation>>,
    ) -> Result<Row, DriveError> {
        let is_new = creation.is_some();
        let row = self.write(advance, standing.cloned(), creation).await?;
        if matches!(row, Row::Durable(_)) {
            if is_new {
                self.course.started();
            }
            self.course.recorded(&self.state, advance);
            if let Some(standing) = standing {
                self.course.stands(standing);
            }
        }
        Ok(row)
    }

    async fn write(
        &mut self,
        advance: &Advance,
        standing: Option<Standing>,
        creation: Option<Box<Creation>>,
    ) -> Result<Row, DriveError> {
        // A first row always has a standing: the index says nothing yet.
        let (index, started, accepted) = match (creation, standing) {
            (Some(creation), Some(standing)) => {
                let Creation { started, request_hash, accepted } = *creation;
                let labels = labels(self.subject(), &advance.state);
                let new = self.new_saga(request_hash, labels, standing);
                (IndexChange::Create(Box::new(new)), Some(started), Some(accepted))
            }
            (_, Some(standing)) => (IndexChange::Set(Box::new(standing)), None, None),
            (_, None) => (IndexChange::Keep, None, None),
        };
        let events = match started {
            Some(started) => {
                let mut events = Vec::with_capacity(advance.events.len() + 1);
                events.push(started);
                events.extend_from_slice(&advance.events);
                encoding::encode(&events)
            }
            None => encoding::encode(&advance.events),
        };
        let draft = Draft {
            saga: self.saga,
            writer: self.shared.node,
            // A start holds whatever was lost; what it calls does not leave before it knows.
            log_epoch: if accepted.is_some() { 0 } else { advance.state.log_epoch() },
            at_ms: self.shared.clock.now_ms(),
            events,
            index,
        };
        let append = draft.behind(self.tip);
        let tip = append.tip();
        let Some(accepted) = accepted else {
            let written = self.shared.log.append(append).await;
            return self.row(tip, written.map_err(|source| self.refused(source))?).await;
        };
        // A start may be turned away; a saga that was accepted is always finished.
        let written = self.shared.log.try_append(append).await;
        let (answer, row) = match written {
            Ok(Written::Done) => (Ok(Accepted::New), Row::Durable(tip)),
            Ok(Written::KeyInUse(other)) => (Ok(Accepted::KeyInUse(other)), Row::Lost),
            // Its id is taken: a start builds on nothing that could be missing.
            Ok(Written::Superseded | Written::Missing | Written::Foreign) => {
                (Err(AppendError::Closed), Row::Lost)
            }
            Err(refused) => (Err(refused), Row::Lost),
        };
        let _ = accepted.send(answer);
        Ok(row)
    }

    /// What a draft is made of, besides the state.
    pub(super) fn subject(&self) -> Subject<'_> {
        self.key.subject(&self.definition, self.shared.limits.request_bytes_max)
    }

    fn new_saga(
        &self,
        request_hash: [u8; 32],
        labels: Vec<(String, String)>,
        standing: Standing,
    ) -> NewSaga {
        let core = &self.definition.core;
        NewSaga {
            namespace: self.key.namespace.clone(),
            business_key: self.key.business_key.clone(),
            definition: core.name.clone(),
            definition_version: core.version,
            request_hash,
            started_at_ms: self.state.started_at_ms(),
            labels,
            standing,
        }
    }

    async fn row(&mut self, tip: Tip, written: Written) -> Result<Row, DriveError> {
        match written {
            Written::Done => Ok(Row::Durable(tip)),
            // Only a first row has a key.
            Written::KeyInUse(_) => Ok(Row::Lost),
            Written::Superseded => {
                let (owner, epoch) = (self.state.owner(), self.state.epoch());
                self.reload().await?;
                let still_ours = owner == self.shared.node
                    && (self.state.owner(), self.state.epoch()) == (owner, epoch);
                if still_ours && self.state.ended().is_none() {
                    Ok(Row::Stale)
                } else {
                    Ok(Row::Lost)
                }
            }
            Written::Missing | Written::Foreign => Err(self.displaced()),
        }
    }

    /// Folds what others have appended behind our last row. There is something, as a row of
    /// theirs was in the way of ours; where there is not, the log is not what it was.
    async fn reload(&mut self) -> Result<(), DriveError> {
        let loaded = self.shared.load_rows(self.saga, self.version().saturating_sub(1)).await;
        let rows = loaded.map_err(|source| DriveError::Log { saga: self.saga, source })?;
        let Some((ours, theirs @ [_, ..])) = rows.split_first() else {
            return Err(self.displaced());
        };
        if Some(ours.tip()) != self.tip {
            return Err(self.displaced());
        }
        for row in theirs {
            let events = encoding::decode(&row.events).map_err(|error| self.damaged(&error))?;
            self.state.apply_all(&events).map_err(|error| self.damaged(&error))?;
            self.tip = Some(row.tip());
        }
        // The index may have been changed with these rows.
        self.written = None;
        Ok(())
    }

    /// Lets go of what only the next decision reads, where that is much and a call is out.
    pub(super) fn slim(&mut self) {
        let bytes_max = self.shared.limits.payload_bytes_max;
        let too_much = self.kept.is_too_much(self.state.payload_bytes(), bytes_max);
        if too_much && !self.answers.is_empty() {
            self.state.forget_payloads();
            self.kept.let_go();
        }
    }

    /// Reads again what was let go. What others have appended meanwhile is there too.
    pub(super) async fn refill(&mut self) -> Result<Refill, DriveError> {
        if !std::mem::take(&mut self.kept.slim) {
            return Ok(Refill::Whole);
        }
        let Loaded { state, tip, .. } = self.shared.unfold(self.saga).await?;
        if tip.version < self.version() {
            return Err(self.displaced());
        }
        if self.tip != Some(tip) {
            self.written = None;
        }
        let ours = (state.owner(), state.epoch()) == (self.state.owner(), self.state.epoch());
        let lost = !ours || state.ended().is_some();
        (self.state, self.tip) = (state, Some(tip));
        self.state.bring_times_back(self.shared.clock.now_ms());
        Ok(if lost { Refill::Lost } else { Refill::Whole })
    }
}
