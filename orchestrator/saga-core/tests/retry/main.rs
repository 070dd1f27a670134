//! When things are done again: pauses, inquiries, deadlines, and from when on a person
//! is called.

mod clocks;
mod deadline;
mod doubts;
mod fixture;
mod inquiry;
mod late;
mod losses;
mod pause;
mod policy;
mod settle;
mod stuck;
mod two_losses;
mod unasked;
