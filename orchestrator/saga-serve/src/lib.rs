//! What stands between our gRPC servers and whoever connects to them.
//!
//! A listener may be reached by anybody, and costs of a connection are paid before anything is
//! known of who made it. So everything that a stranger can make grow is counted here, ends by
//! itself, and is refused with a reason before it grows over its limit: connections below the
//! limit of descriptors, calls, requests that are on their way, and the bytes in them. What is
//! refused is taken from whoever holds most, so that a call of somebody else is still answered.
//!
//! Reading order: [`limits`](Limits), [`wire`](Wire) (TLS, or none), `connections` (who is connected, and who has to go),
//! `stream` (the bytes of one connection), `incoming` (the listener), `call` (what one call
//! holds), `messages` (a request is handed on only as a whole), `layer` (around all methods),
//! `answer` (refusals with their reasons), `requests` (what is counted of calls), `process`
//! (descriptors and files), `quiet` (warnings of libraries), `ops` (a port of its own, for the
//! machinery around a program), and `secret`, which keeps passwords out of what others may read.

mod answer;
mod call;
mod connections;
mod incoming;
mod layer;
mod limits;
mod messages;
mod ops;
mod process;
mod quiet;
mod requests;
mod retry;
mod secret;
mod stream;
mod wire;

pub use connections::Connections;
pub use incoming::Incoming;
pub use layer::{Front, FrontService};
pub use limits::{Limits, WrongLimit};
pub use ops::{Ops, OpsPort};
pub use process::prepare_process;
pub use quiet::Quiet;
pub use requests::Requests;
pub use retry::Retry;
pub use secret::text_or_file;
pub use stream::{Guarded, Peer};
pub use wire::{Plaintext, Wire};
