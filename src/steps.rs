//! What a request waits for, step by step, for whoever traces it.
//!
//! The list is carried along with the work (a task-local), so that what lies between the edge and the
//! store need not hand it on. Where nobody traces, [`note`] costs one look at the task's own memory.
//! A step never holds a secret, a path or a person.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Steps of one request that are kept; a request with more of them is too long to be read anyway.
const STEPS_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: Steps;
}

/// The steps of one request. Cheap to clone: all clones are one list.
#[derive(Clone, Debug, Default)]
pub struct Steps(Arc<Mutex<Vec<Step>>>);

/// One of them, when it is over.
#[derive(Clone, Debug)]
pub struct Step {
    pub name: Cow<'static, str>,
    pub kind: Kind,
    pub began: Instant,
    pub ended: Instant,
    pub failed: bool,
    pub facts: Vec<Fact>,
}

/// Where the work of a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In this process.
    Internal,
    /// By whoever was asked over the network.
    Client,
    /// As [`Self::Client`], and it was told to go on with the trace.
    Upstream,
}

/// A name and what it is: a word of the program or the config, a number, or a host.
pub type Fact = (&'static str, Value);

/// What a fact says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Text(Cow<'static, str>),
    Number(i64),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl Step {
    /// A step of this process that began then and has just ended well.
    #[must_use]
    pub fn since(began: Instant, name: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            kind: Kind::Internal,
            began,
            ended: Instant::now(),
            failed: false,
            facts: Vec::new(),
        }
    }
}

impl Steps {
    /// Adds one, while there is room.
    pub fn push(&self, step: Step) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if steps.len() < STEPS_MAX {
            steps.push(step);
        }
    }

    /// What there is so far; none is left.
    #[must_use]
    pub fn take(&self) -> Vec<Step> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Adds a step to the request that the current task works for, if it is traced.
pub fn note(step: impl FnOnce() -> Step) {
    // An error means that nobody traces.
    let _ = CURRENT.try_with(|steps| steps.push(step()));
}

/// Does `work` for a request with these steps, or for one that is not traced.
pub async fn within<T>(steps: Option<Steps>, work: impl Future<Output = T>) -> T {
    match steps {
        Some(steps) => CURRENT.scope(steps, work).await,
        None => work.await,
    }
}

/// The same work for another task, which is then the same request's.
pub fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    within(CURRENT.try_with(Clone::clone).ok(), work)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        Step::since(Instant::now(), "one")
    }

    #[tokio::test]
    async fn steps_are_those_of_the_request_also_in_a_task_of_its_own() {
        let (traced, other) = (Steps::default(), Steps::default());
        let work = async {
            note(step);
            tokio::spawn(carried(async { note(step) })).await.unwrap();
            // A task that nobody carried anything to is nobody's.
            tokio::spawn(async { note(step) }).await.unwrap();
        };
        within(Some(traced.clone()), work).await;
        within(Some(other.clone()), async {}).await;
        within(None, async { note(step) }).await;
        assert_eq!((traced.take().len(), other.take().len()), (2, 0));
        assert_eq!(traced.take().len(), 0);
    }

    #[test]
    fn no_request_has_more_steps_than_anybody_can_read() {
        let steps = Steps::default();
        (0..1_000).for_each(|_| steps.push(step()));
        assert_eq!(steps.take().len(), STEPS_MAX);
    }
}
