//! Participants, and what people decide about them.

use saga_proto::saga::v1::{
    GetParticipantRequest, GetParticipantResponse, LimitParticipantRequest,
    LimitParticipantResponse, ListParticipantsRequest, ListParticipantsResponse,
    PauseParticipantRequest, PauseParticipantResponse, ResumeParticipantRequest,
    ResumeParticipantResponse,
};

use super::{Client, PAGE_SIZE};
use crate::{failure::Failure, permit::WritePermit};

impl Client {
    /// Lists the participants over all pages.
    pub(crate) async fn participants(&self) -> Result<ListParticipantsResponse, Failure> {
        let mut all = ListParticipantsResponse::default();
        loop {
            let page_token = std::mem::take(&mut all.next_page_token);
            let request = ListParticipantsRequest { page_size: PAGE_SIZE, page_token };
            let mut operator = self.operator();
            let page = self.read("list participants", operator.list_participants(request)).await?;
            let empty = page.participants.is_empty();
            all.participants.extend(page.participants);
            all.node_id = page.node_id;
            if page.next_page_token.is_empty() || empty {
                return Ok(all);
            }
            all.next_page_token = page.next_page_token;
        }
    }

    /// Shows one participant.
    pub(crate) async fn participant(&self, name: &str) -> Result<GetParticipantResponse, Failure> {
        let request = GetParticipantRequest { name: name.to_owned() };
        self.read(&format!("show {name}"), self.operator().get_participant(request)).await
    }

    /// Has nobody call a participant. Safe to repeat with the same request id.
    pub(crate) async fn pause_participant(
        &self,
        doing: &str,
        request: PauseParticipantRequest,
        _: &WritePermit,
    ) -> Result<PauseParticipantResponse, Failure> {
        self.change(doing, self.operator().pause_participant(request)).await
    }

    /// Has a participant called again. Safe to repeat with the same request id.
    pub(crate) async fn resume_participant(
        &self,
        doing: &str,
        request: ResumeParticipantRequest,
        _: &WritePermit,
    ) -> Result<ResumeParticipantResponse, Failure> {
        self.change(doing, self.operator().resume_participant(request)).await
    }

    /// Limits the calls to a participant. Safe to repeat with the same request id.
    pub(crate) async fn limit_participant(
        &self,
        doing: &str,
        request: LimitParticipantRequest,
        _: &WritePermit,
    ) -> Result<LimitParticipantResponse, Failure> {
        self.change(doing, self.operator().limit_participant(request)).await
    }
}
