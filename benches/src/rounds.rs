//! Rounds of one load on several targets, and what they say.
//!
//! Targets take turns within a round, and each round starts with another one, so that a disturbance
//! of the machine meets all alike; ratios are taken within a round for the same reason.

use std::fmt;

use serde::Serialize;

use crate::Error;
use crate::load::{self, Plan, Report};
use crate::spread::Spread;

/// Something that answers the load.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name in the table.
    pub name: &'static str,
    /// The load, with the address of this target and with its process as the only one.
    pub plan: Plan,
}

/// What the rounds said about one target.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    name: &'static str,
    /// CPU time of the target's processes a request, in microseconds.
    cpu_us: Spread,
    /// To each base of the table.
    ratios: [Spread; 2],
    p50_us: f64,
    rps: f64,
    errors: u64,
    first_error: Option<String>,
    /// Calls made, warm-up included.
    sent: u64,
    rounds: Vec<Report>,
}

/// All targets, in their order.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// The targets that each one is compared with.
    bases: [&'static str; 2],
    lines: Vec<Line>,
}

/// Runs `rounds` rounds; `bases` are the names of the two targets to compare with.
///
/// # Errors
/// When a process's CPU time cannot be read.
pub fn run(targets: &[Target], rounds: usize, bases: [&'static str; 2]) -> Result<Table, Error> {
    let mut reports = vec![Vec::with_capacity(rounds); targets.len()];
    for round in 0..rounds {
        let order = (0..targets.len()).cycle().skip(round).take(targets.len());
        for number in order {
            if let (Some(target), Some(seen)) = (targets.get(number), reports.get_mut(number)) {
                seen.push(load::run(&target.plan)?);
            }
        }
    }
    Ok(Table::new(targets.iter().map(|target| target.name).zip(reports).collect(), bases))
}

impl Table {
    fn new(targets: Vec<(&'static str, Vec<Report>)>, bases: [&'static str; 2]) -> Self {
        let floors = bases.map(|base| -> Vec<f64> {
            let rounds = targets.iter().filter(|(name, _)| *name == base);
            rounds.flat_map(|(_, rounds)| rounds.iter().map(cpu_us)).collect()
        });
        let lines = targets
            .into_iter()
            .map(|(name, rounds)| {
                let own: Vec<_> = rounds.iter().map(cpu_us).collect();
                Line {
                    name,
                    ratios: floors.each_ref().map(|floor| ratios(&own, floor)),
                    cpu_us: Spread::of(own),
                    p50_us: Spread::of(rounds.iter().map(|r| r.p50_us).collect()).median,
                    rps: Spread::of(rounds.iter().map(|r| r.rps).collect()).median,
                    errors: rounds.iter().map(|r| r.errors).sum(),
                    first_error: rounds.iter().find_map(|r| r.first_error.clone()),
                    sent: rounds.iter().map(|r| r.sent).sum(),
                    rounds,
                }
            })
            .collect();
        Self { bases, lines }
    }

    /// Wrong and missing answers of all targets.
    pub fn errors(&self) -> u64 {
        self.lines.iter().map(|line| line.errors).sum()
    }

    /// Calls made to one target, warm-up included.
    pub fn sent(&self, name: &str) -> u64 {
        self.lines.iter().filter(|line| line.name == name).map(|line| line.sent).sum()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.bases.map(|base| format!("x {base}"));
        writeln!(
            f,
            "{:<20} {:>10}  {first:<20} {second:<20} {:>8} {:>8} {:>7}",
            "target", "cpu us/req", "p50 us", "req/s", "errors"
        )?;
        for line in &self.lines {
            let [first, second] = line.ratios.map(|ratio| ratio.to_string());
            writeln!(
                f,
                "{:<20} {:>10.2}  {first:<20} {second:<20} {:>8.0} {:>8.0} {:>7}",
                line.name, line.cpu_us.median, line.p50_us, line.rps, line.errors,
            )?;
        }
        for line in &self.lines {
            if let Some(error) = &line.first_error {
                writeln!(f, "{}: {error}", line.name)?;
            }
        }
        Ok(())
    }
}

fn cpu_us(report: &Report) -> f64 {
    report.cpu_us_per_request.values().sum()
}

/// `own` to `floor`, round by round.
fn ratios(own: &[f64], floor: &[f64]) -> Spread {
    Spread::of(own.iter().zip(floor).map(|(own, floor)| own / floor).collect())
}

#[cfg(test)]
mod tests;
