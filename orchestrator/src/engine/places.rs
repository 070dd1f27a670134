//! Room for the sagas that are driven at the same time.
//!
//! What was accepted comes before what is new: as long as sagas wait to be taken over, due
//! ones and those of dead nodes, places that get free are kept for them, until they have
//! their share of all. A crowd of starts has the rest.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of a node.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    /// How many of them sagas that were taken over have before any start.
    share: usize,
    /// How many of them they have.
    taken_over: Arc<AtomicUsize>,
    /// Sagas that wait to be taken over, as far as the last look went.
    waiting: AtomicUsize,
}

/// One place. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    taken_over: Option<Arc<AtomicUsize>>,
}

impl Places {
    pub(crate) fn new(sagas_max: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(sagas_max)),
            share: sagas_max / 2,
            taken_over: Arc::default(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// How many are free.
    pub(crate) fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// How many sagas that wait to be taken over are of interest where no place is free.
    pub(crate) fn share(&self) -> usize {
        self.share
    }

    /// So many sagas wait to be taken over.
    pub(crate) fn wait(&self, sagas: usize) {
        self.waiting.store(sagas, Ordering::Relaxed);
    }

    /// A place for a saga that is to be accepted, if there is one that is kept for nobody.
    pub(crate) fn for_start(&self) -> Option<Place> {
        let taken_over = self.taken_over.load(Ordering::Relaxed);
        let kept = self.waiting.load(Ordering::Relaxed).min(self.share.saturating_sub(taken_over));
        if self.free() <= kept {
            return None;
        }
        Some(Place { _permit: self.take()?, taken_over: None })
    }

    /// A place for a saga that was accepted.
    pub(crate) fn for_taking_over(&self) -> Option<Place> {
        let permit = self.take()?;
        self.taken_over.fetch_add(1, Ordering::Relaxed);
        Some(Place { _permit: permit, taken_over: Some(Arc::clone(&self.taken_over)) })
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(taken_over) = &self.taken_over {
            taken_over.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_have_every_place_while_nobody_waits() {
        let places = Places::new(4);
        let starts: Vec<Place> = std::iter::from_fn(|| places.for_start()).collect();
        assert_eq!(starts.len(), 4);
    }

    #[test]
    fn a_place_that_gets_free_is_kept_for_who_was_accepted() {
        let places = Places::new(4);
        let mut starts: Vec<Place> = std::iter::from_fn(|| places.for_start()).collect();
        places.wait(20);
        starts.truncate(2);
        assert!(places.for_start().is_none(), "two are free, and two are kept");
        let taken: Vec<Place> = std::iter::from_fn(|| places.for_taking_over()).collect();
        assert_eq!(taken.len(), 2);
        starts.truncate(1);
        assert!(places.for_start().is_some(), "they have their share; the rest is for starts");
        drop(taken);
        assert_eq!(places.free(), 3);
        assert!(places.for_start().is_some(), "one more than is kept");
        places.wait(0);
        assert_eq!(std::iter::from_fn(|| places.for_start()).collect::<Vec<_>>().len(), 3);
    }
}
