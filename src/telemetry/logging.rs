//! Log lines on stderr: text or JSON, quiet unless asked, level changeable while running.
//!
//! Whoever logs never waits for the terminal, disk or pipe behind stderr: lines go through a bounded
//! queue to a thread that writes them, and are dropped and counted when it is full. Values from the
//! network go through [`escape`](super::escape) first.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

mod writer;

pub use writer::Lines;

/// What is logged where nothing else is said.
pub const DEFAULT_FILTER: &str = "info";

/// Longer filters are refused.
const MAX_FILTER_BYTES: usize = 1_024;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging was not set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// Not a filter.
    #[error(
        "`{shown}` is not a log filter; write a level (`error`, `warn`, `info`, `debug`, `trace`) or pairs like `info,meshctl::proxy=debug`"
    )]
    Filter {
        /// What was given, escaped and cut.
        shown: String,
    },
    /// There is a subscriber already.
    #[error("logging is set up already")]
    Twice,
    /// The thread that writes could not be started, or logging has ended.
    #[error("logging is not running")]
    Gone,
}

/// Changes the level while running. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogLevel {
    handle: reload::Handle<EnvFilter, Registry>,
    lines: Lines,
}

/// Logging in use: keep it as long as the process logs, it writes what waits when it is dropped.
#[derive(Debug)]
pub struct Logging {
    level: LogLevel,
}

/// Sets up logging for the whole process, once.
///
/// # Errors
/// [`LoggingError`].
pub fn init(format: Format, filter: &str) -> Result<Logging, LoggingError> {
    let (filter, handle) = reload::Layer::new(parse(filter)?);
    let lines = Lines::start(std::io::stderr()).map_err(|_| LoggingError::Gone)?;
    let registry = Registry::default().with(filter);
    let layer = fmt::layer().with_writer(lines.clone());
    let done = match format {
        Format::Text => {
            let color = anstream::AutoStream::choice(&std::io::stderr());
            registry.with(layer.with_ansi(color != anstream::ColorChoice::Never)).try_init()
        }
        Format::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    done.map_err(|_| LoggingError::Twice)?;
    Ok(Logging { level: LogLevel { handle, lines } })
}

impl Logging {
    /// What changes the level.
    pub fn level(&self) -> LogLevel {
        self.level.clone()
    }

    /// Lines dropped because the writer could not keep up.
    pub fn dropped(&self) -> u64 {
        self.level.dropped()
    }
}

/// What waits is written, at most for a second.
impl Drop for Logging {
    fn drop(&mut self) {
        self.level.lines.flush(std::time::Duration::from_secs(1));
    }
}

impl LogLevel {
    /// Logs by another filter from now on: `debug`, or `info,meshctl::proxy=trace`.
    ///
    /// # Errors
    /// [`LoggingError::Filter`]; the old filter stays then.
    pub fn set_filter(&self, filter: &str) -> Result<(), LoggingError> {
        let filter = parse(filter)?;
        self.handle.reload(filter).map_err(|_| LoggingError::Gone)
    }

    /// Lines dropped because the writer could not keep up.
    pub fn dropped(&self) -> u64 {
        self.lines.dropped()
    }
}

/// Libraries whose errors whoever called them reports; they stay quiet unless a filter names them.
const QUIET: &str = "kube_client=off,kube_runtime=off";

/// Also the words of a level alone are checked: the crate takes any word for a target's name.
fn parse(filter: &str) -> Result<EnvFilter, LoggingError> {
    let wrong = || LoggingError::Filter { shown: super::escape(filter.as_bytes()).into_owned() };
    let word = |part: &str| {
        let (target, level) = part.split_once('=').unwrap_or(("-", part));
        let level = level.trim();
        // The crate reads an empty level as `error`.
        let known = !level.is_empty() && level.parse::<LevelFilter>().is_ok();
        !target.trim().is_empty() && known
    };
    if filter.len() > MAX_FILTER_BYTES || !filter.split(',').all(word) {
        return Err(wrong());
    }
    EnvFilter::try_new(format!("{QUIET},{filter}")).map_err(|_| wrong())
}
