//! What calls notice while the policies are exchanged under them.
//!
//! The policies lie as Kubernetes mounts a ConfigMap: links to `..data`, itself a link that is exchanged in one step.
//! Each version says its number in two files and denies every message when the two differ, so that a set put together
//! from two versions could not stay unseen.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use benches::load::{self, Plan, Report, Stop};
use benches::process::{Process, Upstream};
use benches::{Error, Transport};

use crate::Right;
use crate::setup::{Bench, Programs, arguments as words, url};

const NAME: &str = "reload";
/// Rego files of a version beside the shipped ones.
const FILES: usize = 100;
const SESSIONS: u16 = 8;
/// How long the gateway may take to serve the last version.
const SETTLE: Duration = Duration::from_secs(3);

/// Calls at a fixed rate, first alone, then while policies are exchanged.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    programs: Programs,
    /// Calls a second, all sessions together.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Seconds of each part.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Milliseconds from one exchange to the next.
    #[arg(long, default_value_t = 500)]
    every: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Right {
    let bench = Bench::new(&arguments.programs)?;
    let mount = Mount::new(bench.folder(), bench.policies())?;
    let server = Process::tool("fake_upstream", &words([]))?;
    let gateway = bench.gateway_on(NAME, &Upstream::Http(server.address), &mount.dir)?;
    let plan = Plan {
        url: url(&gateway, Transport::Http)?,
        transport: Transport::Http,
        conns: SESSIONS.into(),
        stop: Stop::After(Duration::from_secs(arguments.seconds)),
        pace: Some(Duration::from_secs(u64::from(SESSIONS)) / arguments.rate),
        warmup: Duration::from_millis(500),
        argument: 200,
        progress: 0,
        pids: Vec::new(),
    };
    let alone = load::run(&plan)?;
    let done = AtomicBool::new(false);
    let (beside, exchanges) = std::thread::scope(|scope| {
        let exchanges = scope.spawn(|| mount.exchange(arguments.every, &done));
        let beside = load::run(&plan);
        done.store(true, Ordering::Relaxed);
        (
            beside,
            exchanges
                .join()
                .map_err(|_| Error::Setup("the exchange of policies panicked".to_owned())),
        )
    });
    let (beside, exchanges) = (beside?, exchanges??);
    std::thread::sleep(SETTLE);
    let rows = bench.rows(NAME, gateway)?;
    let calls = |condition: &str| {
        let query = format!("select {condition} from audit_log where method = 'tools/call'");
        bench.count(NAME, &query)
    };
    let revisions = calls("count(distinct policy_revision)")?;
    let denied = calls("count(case when decision <> 'allow' then 1 end)")?;
    report(&alone, &beside);
    println!(
        "{exchanges} exchanges of {FILES} files: {revisions} revisions decided {rows} calls, {denied} of them not allowed"
    );
    let sent = alone.sent + beside.sent;
    Ok(alone.errors + beside.errors + denied == 0 && rows == sent && revisions > 1)
}

fn report(alone: &Report, beside: &Report) {
    println!("{:<22} {:>9} {:>9} {:>9} {:>7}", "", "calls/s", "p50 us", "p99 us", "failed");
    for (name, report) in [("alone", alone), ("while policies change", beside)] {
        let Report { rps, p50_us, p99_us, errors, first_error, .. } = report;
        println!("{name:<22} {rps:>9.0} {p50_us:>9.0} {p99_us:>9.0} {errors:>7}");
        if let Some(error) = first_error {
            eprintln!("{name}: {error}");
        }
    }
    println!("p99 while policies change: {:.2} x", beside.p99_us / alone.p99_us);
}

/// A mounted ConfigMap.
struct Mount {
    dir: PathBuf,
    shipped: Vec<PathBuf>,
}

impl Mount {
    fn new(folder: &Path, shipped: &Path) -> Result<Self, Error> {
        let mut found = Vec::new();
        policies(shipped, &mut found)
            .map_err(Error::io(format!("list `{}`", shipped.display())))?;
        let mount = Self { dir: folder.join("mount"), shipped: found };
        let made = || -> std::io::Result<()> {
            fs::create_dir(&mount.dir)?;
            let version = mount.version(0)?;
            symlink(&version, mount.dir.join("..data"))?;
            for entry in fs::read_dir(mount.dir.join(&version))? {
                let name = entry?.file_name();
                symlink(Path::new("..data").join(&name), mount.dir.join(&name))?;
            }
            Ok(())
        };
        made().map_err(Error::io("mount policies"))?;
        Ok(mount)
    }

    /// Writes a version and gives the name of its folder.
    fn version(&self, number: usize) -> std::io::Result<String> {
        let name = format!("..v{number}");
        let dir = self.dir.join(&name);
        fs::create_dir(&dir)?;
        for (index, path) in self.shipped.iter().enumerate() {
            let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            fs::copy(path, dir.join(format!("shipped_{index}_{file}")))?;
        }
        fs::write(dir.join("first.yaml"), format!("first_version: {number}\n"))?;
        fs::write(dir.join("second.yaml"), format!("second_version: {number}\n"))?;
        fs::write(
            dir.join("mixed.rego"),
            "package mcp.policy\n\nimport rego.v1\n\nviolations contains \"mixed\" if data.first_version != data.second_version\n",
        )?;
        for file in 0..FILES {
            let rule = format!(
                "package mcp.policy\n\nimport rego.v1\n\nviolations contains \"file {file}, version {number}\" if input.tool == \"never_{file}\"\n"
            );
            fs::write(dir.join(format!("rule_{file}.rego")), rule)?;
        }
        Ok(name)
    }

    /// Exchanges versions until `done`; gives how often.
    fn exchange(&self, every: u64, done: &AtomicBool) -> Result<usize, Error> {
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            number += 1;
            let exchanged = || -> std::io::Result<()> {
                let version = self.version(number)?;
                let new = self.dir.join("..data_tmp");
                symlink(&version, &new)?;
                fs::rename(&new, self.dir.join("..data"))
            };
            exchanged().map_err(Error::io("exchange policies"))?;
            std::thread::sleep(Duration::from_millis(every));
        }
        Ok(number)
    }
}

/// The files of the shipped policies that serve.
fn policies(dir: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "schema" {
            policies(&path, into)?;
        } else if (name.ends_with(".rego") && !name.ends_with("_test.rego"))
            || name.ends_with(".yaml")
        {
            into.push(path);
        }
    }
    Ok(())
}
