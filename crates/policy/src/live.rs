//! The policy in force: an engine that can be exchanged while messages are decided, and the lockdown.
//!
//! A message asks once and keeps what it got, so that one revision decides all of it. Asking takes no lock: each thread
//! keeps what it was last given, and looks at one counter whether that is still right.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use domain::{Decision, Policies, Policy, PolicyInput, Reason, RuleMode, Stage, Verdict};

use crate::{Disabled, PolicyEngine};

/// The policy in force.
pub struct LivePolicy {
    /// Tells this one from others for the threads, and whether it is still there.
    identity: Arc<()>,
    /// Goes up with each change of `state`.
    generation: AtomicU64,
    state: RwLock<State>,
}

struct State {
    engine: Arc<PolicyEngine>,
    /// Whether policy is switched on; when it is off, all but a lockdown passes.
    enabled: bool,
    locked_down: bool,
}

impl State {
    /// A policy of the asking thread's own: threads that share one would wait for each other's counts.
    fn policy(&self) -> Arc<dyn Policy> {
        let engine = Arc::clone(&self.engine);
        match (self.locked_down, self.enabled) {
            (true, _) => Arc::new(Lockdown { engine }),
            (false, true) => Arc::new(Serving { engine }),
            (false, false) => Arc::new(Disabled::default()),
        }
    }
}

/// What one thread was last given.
struct Held {
    by: Weak<()>,
    generation: u64,
    policy: Arc<dyn Policy>,
}

thread_local! {
    static HELD: RefCell<Vec<Held>> = const { RefCell::new(Vec::new()) };
}

impl LivePolicy {
    /// Begins with `engine`.
    #[must_use]
    pub fn new(engine: Arc<PolicyEngine>) -> Self {
        Self::with(engine, true)
    }

    /// Policy that is switched off: everything passes, but for a lockdown. `engine` is what would decide.
    #[must_use]
    pub fn switched_off(engine: Arc<PolicyEngine>) -> Self {
        Self::with(engine, false)
    }

    fn with(engine: Arc<PolicyEngine>, enabled: bool) -> Self {
        Self {
            identity: Arc::new(()),
            generation: AtomicU64::new(0),
            state: RwLock::new(State { engine, enabled, locked_down: false }),
        }
    }

    /// Decides with `engine` from the next message on. Messages that are under way keep the engine that they began with.
    pub fn swap(&self, engine: Arc<PolicyEngine>) {
        self.change(|state| state.engine = engine);
    }

    /// The engine in force.
    #[must_use]
    pub fn current_engine(&self) -> Arc<PolicyEngine> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner).engine)
    }

    /// Denies everything but `ping` from the next message on, or ends that.
    pub fn lock_down(&self, on: bool) {
        self.change(|state| state.locked_down = on);
    }

    /// Whether everything but `ping` is denied.
    #[must_use]
    pub fn is_locked_down(&self) -> bool {
        self.state.read().unwrap_or_else(PoisonError::into_inner).locked_down
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        // Within the lock: who sees the new count finds the new state.
        self.generation.fetch_add(1, Ordering::Release);
    }

    fn ask(&self, held: &mut Vec<Held>, generation: u64) -> Arc<dyn Policy> {
        let policy = self.state.read().unwrap_or_else(PoisonError::into_inner).policy();
        held.retain(|held| held.by.strong_count() > 0 && !self.gave(held));
        let by = Arc::downgrade(&self.identity);
        held.push(Held { by, generation, policy: Arc::clone(&policy) });
        policy
    }

    fn gave(&self, held: &Held) -> bool {
        std::ptr::eq(held.by.as_ptr(), Arc::as_ptr(&self.identity))
    }
}

impl Policies for LivePolicy {
    fn current(&self) -> Arc<dyn Policy> {
        // Read first: what is found afterwards is as new, or newer and found again.
        let generation = self.generation.load(Ordering::Acquire);
        HELD.with_borrow_mut(|held| {
            match held.iter().find(|held| held.generation == generation && self.gave(held)) {
                Some(held) => Arc::clone(&held.policy),
                None => self.ask(held, generation),
            }
        })
    }
}

/// An engine that decides.
struct Serving {
    engine: Arc<PolicyEngine>,
}

impl Policy for Serving {
    fn decide(&self, input: &PolicyInput<'_>) -> Decision {
        self.engine.decide(input)
    }

    fn examines(&self, stage: Stage) -> bool {
        self.engine.examines(stage)
    }

    fn reads_state(&self) -> bool {
        self.engine.reads_state()
    }
}

/// Denies everything but `ping`, which the engine decides.
struct Lockdown {
    engine: Arc<PolicyEngine>,
}

/// The rule that denies during a lockdown.
const LOCKDOWN: &str = "lockdown";

impl Policy for Lockdown {
    fn decide(&self, input: &PolicyInput<'_>) -> Decision {
        if input.method == "ping" {
            return self.engine.decide(input);
        }
        let reason = Reason {
            message: "the operator has locked the gateway down".to_owned(),
            rule: Some(LOCKDOWN.to_owned()),
            remedy: Some("wait until the operator ends the lockdown".to_owned()),
            mode: RuleMode::Enforce,
            ..Reason::default()
        };
        Decision {
            verdict: Verdict::Deny,
            reasons: Arc::from([reason]),
            matched_rule: Some(LOCKDOWN.into()),
            rules: None,
            obligations: Arc::from([]),
            error: None,
            revision: self.engine.revision().clone(),
            cached: false,
            elapsed: std::time::Duration::ZERO,
        }
    }

    /// Also what was allowed before the lockdown is denied on its way back.
    fn examines(&self, stage: Stage) -> bool {
        stage != Stage::Gateway
    }

    fn reads_state(&self) -> bool {
        false
    }

    fn holds_in_audit_mode(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
