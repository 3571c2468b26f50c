//! CPU time a call from one era to the other, beside calls within one.

use benches::process::{Process, Upstream};
use benches::rounds;
use benches::{Error, Transport};

use crate::Right;
use crate::setup::{Bench, Programs, ROOM, Rounds, target};

/// Two gateways, one before a server of each era, and clients of both eras at each.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    programs: Programs,
    #[command(flatten)]
    rounds: Rounds,
    /// Turn policy, audit log and metrics off, so that nothing hides what the bridge costs.
    #[arg(long)]
    bare: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Right {
    let bench = Bench::new(&arguments.programs)?;
    let start = |era: &str| -> Result<_, Error> {
        let server = Process::tool("fake_upstream", &[format!("--era={era}")])?;
        let upstream = Upstream::Http(server.address);
        let gateway = match arguments.bare {
            true => bench.bare(era, &upstream),
            false => bench.gateway(era, &upstream, ROOM),
        };
        let gateway = gateway?.ok_or_else(|| {
            Error::Setup("there is no bridge without a gateway: add --gateway".to_owned())
        })?;
        Ok((server, gateway))
    };
    let ((_legacy_server, legacy), (_modern_server, modern)) = (start("legacy")?, start("modern")?);
    let targets = [
        target("legacy to legacy", &legacy, Transport::Http, arguments.rounds)?,
        target("modern to modern", &modern, Transport::Stateless, arguments.rounds)?,
        target("legacy to modern", &modern, Transport::Http, arguments.rounds)?,
        target("modern to legacy", &legacy, Transport::Stateless, arguments.rounds)?,
    ];
    let bases = ["legacy to legacy", "modern to modern"];
    let table = rounds::run(&targets, arguments.rounds.rounds, bases)?;
    println!(
        "{}, {}: median [min max]",
        arguments.rounds.describe(),
        if arguments.bare { "policy and audit off" } else { "all on" }
    );
    print!("{table}");
    Ok(table.errors() == 0)
}
