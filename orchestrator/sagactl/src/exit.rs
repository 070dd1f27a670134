//! How a command ended, for scripts.

use std::process::ExitCode;

use saga_proto::saga::v1::SagaState;

/// An exit code. `sagactl help exit-codes` says the same in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It was done.
    Ok = 0,
    /// It was not done, for a reason that has no code of its own.
    Error = 1,
    /// The command line is wrong. Nothing was asked of the server.
    Usage = 2,
    /// The person declined, or could not be asked. Nothing was changed.
    Declined = 3,
    /// The server does not know us, or does not let us.
    Unauthorized = 4,
    /// There is no such saga, step or definition.
    NotFound = 5,
    /// It moved on: the thing is not in the state that the command needs.
    Conflict = 6,
    /// The server was not reached, has too much to do, or did not answer in time.
    Unavailable = 7,
    /// The awaited saga was compensated or closed.
    Compensated = 8,
    /// The awaited saga is stuck.
    Stuck = 9,
    /// It was done for some of what was named, and not for others.
    Partly = 10,
}

impl Exit {
    /// How a wait for a saga ended, or `None` while the saga is under way.
    pub(crate) fn of_awaited(state: SagaState) -> Option<Self> {
        match state {
            SagaState::Completed => Some(Self::Ok),
            SagaState::Compensated | SagaState::Closed => Some(Self::Compensated),
            SagaState::Stuck => Some(Self::Stuck),
            SagaState::Unspecified | SagaState::Running | SagaState::Compensating => None,
        }
    }
}

impl Exit {
    /// How a command ended that was about several things.
    pub(crate) fn of_all(exits: &[Self]) -> Self {
        let bad = exits.iter().copied().find(|it| *it != Self::Ok);
        match bad {
            Some(_) if exits.contains(&Self::Ok) => Self::Partly,
            bad => bad.unwrap_or(Self::Ok),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
