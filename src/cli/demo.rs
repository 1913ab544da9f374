//! `meshctl demo`: a complete local mesh with a small shop, traffic and rules, in one command.
//!
//! A play in steps: each applies its rule, waits until it is truly seen in what visitors get and in
//! what the control plane counts, and goes on. `stage` owns processes and files, `traffic` visits,
//! `observe` asks the control plane; `steps`, `seen` and `screen` are pure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::args::Context;
use super::exit::{Exit, Failure, Outcome};

mod observe;
mod screen;
mod seen;
mod shop;
mod stage;
mod steps;
#[cfg(test)]
mod tests;
mod traffic;

use seen::Seen;
use stage::Stage;
use steps::{Change, Step};

/// How often the control plane is asked and the screen drawn.
const BEAT: Duration = Duration::from_millis(500);

/// The longest that a step may take until it is seen.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a step that was seen stays on the screen.
const LOOKING: Duration = Duration::from_secs(10);

const EXAMPLES: &str = "\
Examples:
  meshctl demo             a guided tour on this terminal; Ctrl-C ends it
  meshctl demo --script    the same without a terminal, to its end; exit 1 where a step fails

Exit codes: 0 done, 1 it failed, 2 the command line was wrong.";

/// A complete local mesh with sample applications, rules, traffic and what to try next.
///
/// Needs no root and no installation: everything lives in a temporary directory, and is gone at the
/// end.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct DemoArgs {
    /// Play it through without a terminal, one line per step, and end.
    #[arg(long)]
    script: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the demo starts itself from.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// One application of the demo's shop.
    #[command(hide = true)]
    Shop(shop::ShopArgs),
}

/// That the user wants it to end, by Ctrl-C or SIGTERM.
#[derive(Debug, Clone)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens for both signals until the process ends.
    fn on_signals() -> anyhow::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let told = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&told);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupt, mut terminate) = runtime.block_on(async {
            Ok::<_, std::io::Error>((
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            ))
        })?;
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            });
            flag.store(true, Ordering::Relaxed);
            // Kept, so that a second Ctrl-C does not cut the cleaning up short.
            runtime.block_on(std::future::pending::<()>());
        })?;
        Ok(Self(told))
    }

    fn is_told(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Plays the demo, or is one application of it.
pub(crate) fn run(args: DemoArgs, context: &Context) -> Outcome {
    if let Some(Part::Shop(shop)) = args.part {
        shop::run(shop)?;
        return Ok(Exit::Done);
    }
    let stop = Stop::on_signals()?;
    let mut play = Play {
        context,
        stage: Stage::new()?,
        stop,
        seen: Arc::default(),
        steps: steps::steps(),
        begun: Instant::now(),
        guided: !args.script && context.printer.width().is_some(),
        stays: !args.script,
    };
    let played = play.play();
    if play.guided {
        let _ = context.printer.data(LEAVE);
    }
    context.printer.note("ending: proxies, control plane and files go");
    let failed = play.seen.lock().failed;
    let why = play.seen.lock().failure.clone().unwrap_or_default();
    play.stage.end()?;
    // Told to end, what was under way may well have failed.
    if !play.stop.is_told() {
        played?;
    }
    match failed {
        0 => Ok(Exit::Done),
        _ => Err(Failure::new(format!("{failed} requests failed, the last one with: {why}"))),
    }
}

/// The other screen of the terminal, without a cursor, and back.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// To the top, and clear what is below.
const HOME: &str = "\u{1b}[H\u{1b}[J";

struct Play<'a> {
    context: &'a Context,
    stage: Stage,
    stop: Stop,
    seen: Arc<Mutex<Seen>>,
    steps: Vec<Step>,
    begun: Instant,
    /// A screen is drawn; else there is a line per step.
    guided: bool,
    /// After the last step the shop stays open until the user ends it.
    stays: bool,
}

impl Play<'_> {
    fn play(&mut self) -> Result<(), Failure> {
        self.context.printer.note("starting a control plane and five proxies in a temporary home");
        self.stage.install()?;
        self.stage.open(&self.stop)?;
        if self.stop.is_told() {
            return Ok(());
        }
        if self.guided {
            self.context.printer.data(ENTER)?;
        }
        let _traffic = traffic::Traffic::start(&self.stage.outbound()?, &self.seen)?;
        for at in 0..self.steps.len() {
            self.step(at)?;
        }
        while self.stays && !self.stop.is_told() {
            self.beat(None)?;
        }
        Ok(())
    }

    /// Plays one step until it is seen, and on a screen a while longer.
    fn step(&mut self, at: usize) -> Result<(), Failure> {
        let Some(step) = self.steps.get(at).cloned() else { return Ok(()) };
        if self.stop.is_told() {
            return Ok(());
        }
        if let Some(change) = step.change {
            self.change(change)?;
        }
        self.seen.lock().begin(at);
        let mut since = Instant::now();
        let deadline = since + PATIENCE;
        let mut told = false;
        while !self.stop.is_told() {
            self.beat(Some((at, &step)))?;
            let Some(missing) = step.missing(&self.seen.lock()) else {
                if !told {
                    self.tell(at, &step)?;
                    (told, since) = (true, Instant::now());
                }
                if !self.guided || since.elapsed() > LOOKING {
                    return Ok(());
                }
                continue;
            };
            if Instant::now() > deadline {
                let failure = self.seen.lock().failure.clone().unwrap_or_default();
                return Err(
                    Failure::new(format!("`{}` was not seen: {missing}", step.title)).help(failure)
                );
            }
        }
        Ok(())
    }

    /// Applies the rules of a change, and does what belongs to it.
    fn change(&mut self, change: Change) -> Result<(), Failure> {
        let mut applied = Vec::new();
        if let Some(text) = change.rules() {
            let rules = self.stage.rules();
            stage::write_rules(&rules, &text)?;
            let apply = ["apply", "-f", &rules.to_string_lossy(), "--wait", "--timeout", "30s"];
            let (out, said) = self.stage.meshctl(&apply)?;
            let lines = out.lines().chain(said.lines().filter(|line| !line.starts_with("waiting")));
            applied = lines.map(str::to_owned).collect();
        }
        match change {
            Change::Split(..) => {}
            Change::Break => self.stage.set_sick(true)?,
            Change::Mend => self.stage.set_sick(false)?,
        }
        self.seen.lock().applied = applied;
        Ok(())
    }

    /// Looks at everything, draws it, and waits for the next beat.
    fn beat(&mut self, step: Option<(usize, &Step)>) -> Result<(), Failure> {
        self.stage.look()?;
        let traced = step.is_some_and(|(_, step)| step.proof == steps::Proof::Traced);
        observe::look(&self.stage, &self.seen, traced)?;
        if self.guided {
            let (program, home) = (self.stage.typed(), self.stage.home());
            let home = home.to_string_lossy();
            let seen = self.seen.lock().clone();
            let frame = screen::Frame {
                step,
                steps: self.steps.len(),
                seen: &seen,
                elapsed: self.begun.elapsed(),
                program: &program,
                home: &home,
            };
            let (width, height) = (self.context.printer.width(), self.context.printer.height());
            let text = frame.render(width.unwrap_or(80), height.unwrap_or(24));
            self.context.printer.data(&format!("{HOME}{text}"))?;
        }
        let end = Instant::now() + BEAT;
        while Instant::now() < end && !self.stop.is_told() {
            std::thread::sleep(BEAT / 20);
        }
        Ok(())
    }

    /// Says that a step was seen, where no screen shows it.
    fn tell(&self, at: usize, step: &Step) -> Result<(), Failure> {
        if self.guided {
            return Ok(());
        }
        let seen = self.seen.lock().clone();
        let printer = &self.context.printer;
        printer.line(&format!("step {} of {}: {}", at + 1, self.steps.len(), step.title))?;
        for line in steps::evidence(step, &seen) {
            printer.line(&format!("  {line}"))?;
        }
        Ok(())
    }
}
