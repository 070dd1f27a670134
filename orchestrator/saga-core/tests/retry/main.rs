//! When things are done again: pauses, inquiries, deadlines, and from when on a person
//! is called.

mod deadline;
mod doubts;
mod fixture;
mod inquiry;
mod losses;
mod pause;
mod policy;
mod stuck;
