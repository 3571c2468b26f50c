//! `mcp-proxy policy bench`: how long a decision takes, as it does in the gateway.

mod message;

use std::num::NonZeroU32;
use std::sync::Arc;

use anyhow::bail;
use domain::{Clock, Policy as _, SystemClock};
use policy::{Config, PolicyEngine, PolicySet, Sources};
use serde::Serialize;

use self::message::Message;
use super::question::Question;
use crate::{Exit, Format, output};

/// Options of `policy bench`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    mcp-proxy policy bench -d policies -i input.json\n  \
    mcp-proxy policy bench -d policies -i input.json --count 100000 --format json\n\n\
    The input is that of `policy eval`, with what it leaves out filled in. It is decided again and again on one thread, \
    by the engine that serves the set: first without the decision cache, then with it. A time is that of one decision, \
    from the message to the decision, the conversion of what the rules read included; reading and parsing of \
    the message are not. Rules that read counters or time are evaluated with the cache, too.\n\
    Exits 0 when it is measured, 2 when the policies cannot be loaded or fail on the input.")]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    question: Question,

    /// How often it is decided, each way
    #[arg(long, value_name = "N", default_value = "10000")]
    count: NonZeroU32,

    /// Lines for people, or one JSON object
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Decisions before the measurement.
const WARM_UP: u32 = 1000;

/// What was measured.
#[derive(Debug, Serialize)]
struct Measured {
    revision: String,
    engine: String,
    decision: &'static str,
    uncached: Times,
    cached: Times,
}

/// Nanoseconds of one decision.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Times {
    decisions: usize,
    /// Decisions of which the part that may be cached came from the cache.
    hits: usize,
    p50_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

pub(super) fn execute(args: &BenchArgs) -> anyhow::Result<Exit> {
    let (sources, settings, input) = args.question.resolve()?;
    let measured = measure(&sources, &settings.policy, &input, args.count.get())?;
    match args.format {
        Format::Pretty => output::data(&pretty(&measured))?,
        Format::Json => output::line(&output::json(&measured)?)?,
    }
    Ok(Exit::Done)
}

fn measure(
    sources: &Sources,
    config: &Config,
    input: &str,
    count: u32,
) -> anyhow::Result<Measured> {
    let message = Message::of(input)?;
    let engine = |cached| -> anyhow::Result<PolicyEngine> {
        let mut config = config.clone();
        config.cache.enabled = cached;
        let set = PolicySet::load(sources, &config)?;
        Ok(PolicyEngine::with_clock(set, Arc::new(SystemClock)))
    };
    let (bare, caching) = (engine(false)?, engine(true)?);
    // The first evaluation of a thread prepares it, and may well take too long.
    bare.warm();
    bare.decide(&message.input());
    let decision = bare.decide(&message.input());
    if let Some(error) = decision.error {
        bail!("the policy could not be evaluated: {error}");
    }
    Ok(Measured {
        revision: bare.revision().to_string(),
        engine: bare.set().engine().to_string(),
        decision: decision.verdict.as_str(),
        uncached: times(&bare, &message, count),
        cached: times(&caching, &message, count),
    })
}

/// Decides `count` times; the room for the times is made before.
fn times(engine: &PolicyEngine, message: &Message, count: u32) -> Times {
    let input = message.input();
    for _ in 0..count.min(WARM_UP) {
        engine.decide(&input);
    }
    let clock = SystemClock;
    let mut hits = 0;
    let mut nanos = Vec::with_capacity(usize::try_from(count).unwrap_or_default());
    for _ in 0..count {
        let started = clock.monotonic();
        let decision = engine.decide(&input);
        let elapsed = clock.monotonic().saturating_duration_since(started);
        hits += usize::from(decision.cached);
        nanos.push(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }
    nanos.sort_unstable();
    Times {
        decisions: nanos.len(),
        hits,
        p50_ns: percentile(&nanos, 50),
        p99_ns: percentile(&nanos, 99),
        max_ns: percentile(&nanos, 100),
    }
}

/// The least of the sorted times that `percent` of them do not exceed; zero of none.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

fn pretty(measured: &Measured) -> String {
    let Measured { engine, decision, uncached, cached, .. } = measured;
    let line = |name: &str, times: &Times| {
        let Times { decisions, p50_ns, p99_ns, max_ns, .. } = times;
        format!("{name:9} p50 {p50_ns} ns, p99 {p99_ns} ns, max {max_ns} ns of {decisions}\n")
    };
    format!(
        "engine    {engine}\ndecision  {decision}\n{}{}hits      {}\n",
        line("uncached", uncached),
        line("cached", cached),
        cached.hits
    )
}

#[cfg(test)]
mod tests;
