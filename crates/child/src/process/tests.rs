use std::collections::BTreeMap;

use super::*;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Line(String),
    TooLong,
    ErrorLine(usize),
    Ended(String),
}

struct Listening(mpsc::Sender<Heard>);

impl Listening {
    fn hear(&self, heard: Heard) {
        self.0.try_send(heard).unwrap();
    }
}

impl Listener for Listening {
    async fn line(&self, line: Bytes) {
        self.hear(Heard::Line(String::from_utf8(line.to_vec()).unwrap()));
    }

    fn too_long(&self) {
        self.hear(Heard::TooLong);
    }

    fn error_line(&self, line: &[u8]) {
        self.hear(Heard::ErrorLine(line.len()));
    }

    fn ended(&self, status: &IoResult<ExitStatus>) {
        self.hear(Heard::Ended(status.as_ref().unwrap().to_string()));
    }
}

/// A shell that runs a script, and what is connected to it.
struct Rig {
    children: Arc<Children>,
    input: mpsc::Sender<Bytes>,
    heard: mpsc::Receiver<Heard>,
    stop: CancellationToken,
    gone: CancellationToken,
}

impl Rig {
    fn new(script: &str) -> Self {
        let command = ["/bin/sh", "-c", script].map(str::to_owned);
        let ours: BTreeMap<String, String> =
            [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into();
        let command = Command::new(&command, ours.clone(), &ours, None).unwrap();
        let (input, queue) = mpsc::channel(8);
        let (hear, heard) = mpsc::channel(64);
        let (children, stop) = (Arc::default(), CancellationToken::new());
        let listener = Arc::new(Listening(hear));
        let gone = start(&command, &children, queue, 16, listener, stop.clone()).unwrap();
        Self { children, input, heard, stop, gone }
    }

    async fn next(&mut self) -> Option<Heard> {
        timeout(PATIENCE, self.heard.recv()).await.expect("the child says something")
    }

    /// All that is heard until nothing is left of the child.
    async fn rest(mut self) -> Vec<Heard> {
        timeout(PATIENCE, self.gone.cancelled()).await.expect("the child ends");
        assert_eq!(self.children.count(), 0);
        let mut rest = Vec::new();
        while let Some(heard) = self.next().await {
            rest.push(heard);
        }
        rest
    }
}

fn line(text: &str) -> Heard {
    Heard::Line(text.to_owned())
}

#[tokio::test]
async fn messages_are_lines_both_ways_and_a_child_that_is_asked_to_end_is_no_news() {
    let mut rig = Rig::new("exec cat");
    rig.input.send("one\n two".into()).await.unwrap();
    rig.input.send("three".into()).await.unwrap();
    assert_eq!(rig.next().await, Some(line("one  two")));
    assert_eq!(rig.next().await, Some(line("three")));
    assert_eq!(rig.children.count(), 1);
    rig.stop.cancel();
    assert_eq!(rig.rest().await, []);
}

#[tokio::test]
async fn all_that_was_written_is_heard_before_the_end() {
    let rig = Rig::new("printf '\\n  \\nfirst\\n%020d\\nlast' 7; exit 3");
    let ended = Heard::Ended("exit status: 3".to_owned());
    assert_eq!(rig.rest().await, [line("first"), Heard::TooLong, line("last"), ended]);
}

#[tokio::test]
async fn of_a_long_line_on_standard_error_the_beginning_is_told() {
    let mut rig = Rig::new("printf 'short\\n%09000d\\n' 7 >&2; exec cat");
    assert_eq!(rig.next().await, Some(Heard::ErrorLine(5)));
    assert_eq!(rig.next().await, Some(Heard::ErrorLine(ERROR_LINE)));
    rig.stop.cancel();
    assert_eq!(rig.rest().await, []);
}

#[tokio::test]
async fn a_child_that_closes_its_output_is_ended() {
    let rig = Rig::new("exec >&-; exec sleep 1000");
    let ended = Heard::Ended("signal: 15 (SIGTERM)".to_owned());
    assert_eq!(rig.rest().await, [ended]);
}

#[tokio::test]
async fn what_the_child_started_ends_with_it() {
    let mut rig = Rig::new("sleep 1000 & (setsid sleep 1000 &) ; echo $!; exec cat");
    let Some(Heard::Line(number)) = rig.next().await else { panic!("its number") };
    let grandchild = Pid::from_raw(number.parse().unwrap());
    assert_eq!(nix::sys::signal::kill(grandchild, None), Ok(()), "it runs");
    // An orphan is reaped by whoever adopts it, and may be a zombie until then.
    let state = || std::fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
    rig.stop.cancel();
    assert_eq!(rig.rest().await, []);
    assert!(state().is_empty() || state().contains(") Z "), "{}", state());
}
