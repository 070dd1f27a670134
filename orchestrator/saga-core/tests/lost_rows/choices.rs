//! Every combination of choices, one run after the other.

/// What is chosen in a run. The next run differs in the last choice that has another way.
#[derive(Debug, Default)]
pub(crate) struct Choices {
    /// What was chosen, and out of how many.
    made: Vec<(usize, usize)>,
    at: usize,
}

impl Choices {
    /// One of `count` ways, from 0. The first is the ordinary one.
    pub(crate) fn of(&mut self, count: usize) -> usize {
        if self.made.len() == self.at {
            self.made.push((0, count));
        }
        let (chosen, of) = self.made[self.at];
        assert_eq!(of, count, "a run is the same up to its last choice");
        self.at += 1;
        chosen
    }

    /// Turns to the next run. False: there is none.
    pub(crate) fn go_on(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, count)) = self.made.pop() {
            if chosen + 1 < count {
                self.made.push((chosen + 1, count));
                return true;
            }
        }
        false
    }
}
