//! Reports for people: pure functions over replies, and over a [`Look`](crate::look::Look)
//! that holds the present. Every text in a reply has been made safe before
//! ([`escaped`](crate::reply::escaped)).

mod advice;
pub(crate) mod calls;
pub(crate) mod causes;
pub(crate) mod changes;
pub(crate) mod context;
pub(crate) mod definition;
pub(crate) mod describe;
pub(crate) mod graph;
pub(crate) mod history;
pub(crate) mod log;
pub(crate) mod outage;
pub(crate) mod participant;
pub(crate) mod preview;
pub(crate) mod proof;
pub(crate) mod rehearsal;
pub(crate) mod saga_list;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod stuck;
pub(crate) mod table;
pub(crate) mod words;
mod you_can;

#[cfg(test)]
mod example;
