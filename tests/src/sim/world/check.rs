//! Participants that refuse what they have already, and do not look whether that is of this
//! very operation.

use tonic::Code;

use super::{Inside, Message};
use crate::sim::{
    answer::{Deny, Refused},
    barrier::Recorded,
    fault::Fault,
};

impl Inside {
    /// What a check before the operation log says to this message. It finds what is there.
    pub(super) fn refused_by_check(&mut self, message: &Message) -> Option<Deny> {
        let counts = message.checked?;
        let Message { participant, op, .. } = message;
        let stands = matches!(self.shop.recorded(participant, *op), Some(Recorded::Applied(_)))
            && !self.shop.is_reversed(participant, *op);
        if !stands {
            return None;
        }
        self.happened(Fault::RefusedByCheck, counts);
        let (code, reason) = (Code::AlreadyExists, "DUPLICATE_ORDER_NO");
        let message = "it is here already".to_owned();
        Some(Deny::Unrecorded(Refused { code, reason, message }))
    }
}
