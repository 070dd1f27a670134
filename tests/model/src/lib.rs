//! A model of the protocol between nodes, log, network, participants and a provider, small
//! enough that every run of it can be visited (by stateright, breadth first).
//!
//! What a node decides is not modelled: it is [`fn@saga_core::next`] and [`saga_core::State`]
//! themselves, called as `driver::advance` calls them. Modelled is what is around them, each
//! after the code that it stands for:
//!
//! | here | stands for |
//! |---|---|
//! | [`world::log`] | the log: a row names the row it builds on, and of two one is taken |
//! | [`world::node`], [`world::take`] | the driver: draft, append, learn that it is durable, call, wait; decide again where somebody else wrote |
//! | [`world::network`] | requests and answers: any order, twice, late, never |
//! | [`participant`] | the kit's operation log and barrier, operations that ask a provider, and the provider's own ledger |
//! | [`world::moves`] | all that may happen at a moment, and what happens once nothing goes wrong any more |
//! | [`properties`] | the promises, named as the project names them |
//! | [`subject`] | the seams at which a mutant breaks the protocol |
//!
//! The walker of saga-core (`tests/exhaustive`) covers the core more closely, with one owner at
//! a time and a log that always answers: deadline, conditions, wiring faults, operators, every
//! policy of an unknown outcome. This model is about what it leaves out: several owners, the log
//! as the fence between them, and a network that belongs to nobody.
//!
//! # Faults
//!
//! At any moment and in any order, as often as [`scope::Faults`] allows: a node dies (before or
//! after its row is durable, its calls have left, its answer has come); another takes the saga
//! over, from a dead owner or from one that lives and goes on; a row lands after its writer's
//! death, or never; its writer does not learn what became of it and writes it again; a request
//! arrives twice, out of order, after it was given up, or not at all; the participant or its
//! provider dies between any two of intent, call, answer and record, which is a message lost
//! there; an answer is lost, or never waited for; the client cancels, through the owner or past
//! it. Participants refuse whatever the scope lets them refuse, and some refuse what they have
//! already without a look into their operation log. The log loses its newest rows under living
//! owners, or the saga as a whole, and the client asks again.
//!
//! # What a log that lost rows still promises
//!
//! Everything. Operation ids do not hang on the log, so what was lost is done again under the
//! same ids: no effect happens twice (E1). No row follows one that was lost (T2), and none that
//! was decided before its writer had heard of the loss. A saga that hears of one asks before it
//! goes forward over an effect whether lost rows have undone it, and before it goes back past a
//! step whether lost rows have begun it; both inquiries fence, so that what is still under way
//! does nothing. So an ended saga is true (E2, E3, E9, E10), whatever the log forgot.
//!
//! That a loss is *noticed*, before anything is taken over or decided behind it, is taken for
//! granted here; how it is noticed is for the log's own tests.
//!
//! # Bounds
//!
//! One saga, two nodes at once, two or three steps, one provider, two attempts before an inquiry.
//! The number of faults is bounded per run, so a run is finite; the tests say how many. A first
//! row that is durable is where everything begins: before it, there is no saga. The log loses
//! rows once.
//!
//! # Not modelled
//!
//! - Time: a pause is over at once, or ends at any later moment ([`scope::Pauses`]). No deadline
//!   (to the protocol it is a cancel), no heartbeat: a node may take over whenever it likes.
//! - The index row, parking, start by business key (L5, L6), pinned definitions (L7), budgets
//!   and limits (T3, T4), stock, orders and amounts (E5 to E8), operators (E11).
//! - Which of cancel and pivot wins: the walker judges that. Here only that the end is whole.
//! - Compensations that are refused and participants that answer nonsense: a person's case.
//! - Several answers in one row. Each is taken up alone; the state behind is the same.
//! - An answer that arrives after its call was given up: a driver drops the call with the wait,
//!   so nobody is there to hear it. That the core refuses one is in its table of phases.
//!
//! # What is taken for the same
//!
//! Worlds with the same [`world::World::key`] are visited once. The key leaves out which slot a
//! node runs in and the numbers of rows, epochs and attempts, of which only the newest matter.
//! Requests that can change nothing any more are removed. `tests/explore/alike.rs` walks without
//! the key and shows that worlds with the same one behave alike.
//!
//! Liveness is a property of states ([`properties::V1`]): from every state that is reached with
//! faults, the saga ends by itself when no more come. It is not checked that it ends under every
//! unfair schedule, because under those it does not.

pub mod fold;
mod mixer;
pub mod participant;
pub mod properties;
pub mod protocol;
pub mod scope;
pub mod subject;
pub mod tally;
pub mod world;
