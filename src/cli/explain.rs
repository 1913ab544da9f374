//! `explain`: would a request get through, where would it go, and which rule decides? Offline from
//! files, or against the mesh that runs; and what the ids in reason headers and logs lead to.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::{Context, NamespaceArgs};
use super::client::Client;
use super::complete;
use super::exit::{Exit, Failure, Outcome};
use super::output::{FormatArgs, View};
use crate::control::api::shapes::API_VERSION;
use crate::explain::{self, Call, Explanation, Live, Model};

mod live;
mod offline;
mod reason;
mod rule;
mod sections;
mod story;

/// Say what would become of a request, and which rule decides.
///
/// By the functions that proxies use: with what the control plane would send to the caller's proxy,
/// and how that proxy has its pools now; or, with `-f`, from files alone. The ids are those of the
/// headers `meshctl-rule` and `meshctl-reason`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  meshctl explain --from web http://reviews/reviews/1               of the mesh that runs
  meshctl explain --from web POST http://cart/items --header x-user:ada
  meshctl explain -f rules.yaml --from web http://reviews/x -o json of files, without a mesh
  meshctl explain --from web --grpc shop.Cart/Add http://cart       a call of gRPC
  meshctl explain --rule HTTPRoute/default/reviews/0                what a `meshctl-rule` names
  meshctl explain no_route                                          what a `meshctl-reason` says

Exit codes: 0 it goes through or the client is sent elsewhere, 1 it could not be found out, 2 wrong
command line, 3 it is refused, or some of such requests are.")]
pub(crate) struct ExplainArgs {
    /// `[METHOD] URL`; or the id of a rule, or a reason.
    #[arg(value_name = "URL", num_args = 0..=2)]
    what: Vec<String>,
    /// Who calls: SERVICE, NAMESPACE/SERVICE or a proxy's name.
    #[arg(long, value_name = "SERVICE", add = ArgValueCandidates::new(complete::workloads))]
    from: Option<String>,
    /// The method [default: GET].
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// A header field of the request, `NAME:VALUE`; as often as needed.
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = field)]
    headers: Vec<(String, String)>,
    /// A gRPC method, `package.Service/Method`, of the server at the URL.
    #[arg(long, value_name = "METHOD", conflicts_with = "method")]
    grpc: Option<String>,
    /// What the id of a rule leads to, instead of a request.
    #[arg(long, value_name = "ID", conflicts_with_all = ["what", "from", "method", "headers", "grpc"])]
    rule: Option<String>,
    /// Files, directories or URLs with rules, instead of the mesh; `-` is standard input.
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    filename: Vec<PathBuf>,
    /// Read directories below directories too.
    #[arg(short = 'R', long, requires = "filename")]
    recursive: bool,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    format: FormatArgs,
}

/// `NAME:VALUE`, with or without white space around the value.
fn field(text: &str) -> Result<(String, String), String> {
    match text.split_once(':').or_else(|| text.split_once('=')) {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err(format!("`{text}` is not `NAME:VALUE`")),
    }
}

pub(crate) fn run(args: &ExplainArgs, context: &Context) -> Outcome {
    let id = args.rule.as_deref().or(match args.what.as_slice() {
        [one] if rule::is_id(one) => Some(one),
        _ => None,
    });
    let view = match (id, args.what.as_slice()) {
        (Some(id), _) => rule::view(id, args, context)?,
        (None, [word]) if explain::reason(word).is_some() => reason::view(word)?,
        // A word that asks for nothing else can only be a reason, mistyped.
        (None, [word]) if args.from.is_none() && reason::is_word(word) => reason::view(word)?,
        _ => return request(args, context),
    };
    context.printer.view(args.format.output, &view)?;
    Ok(Exit::Done)
}

fn request(args: &ExplainArgs, context: &Context) -> Outcome {
    let call = call(args)?;
    let from = args.from.as_deref().ok_or_else(|| {
        Failure::usage("`--from` is missing").help("say whose request it is with `--from SERVICE`")
    })?;
    let (model, live) = match args.filename.is_empty() {
        true => live::load(&Client::of(context)?, (from, &args.namespace.namespace), &call)?,
        false => offline::load(args, (from, &call), context)?,
    };
    let now = Timestamp::now();
    let explanation = explanation((&model, &live), &call, now);
    let view = View {
        value: typed("Explanation", &explanation)?,
        lead: vec![story::tell(&explanation, now).trim_end().to_owned()],
        names: explanation.route.iter().filter_map(|route| route.rule.clone()).collect(),
        ..View::default()
    };
    context.printer.view(args.format.output, &view)?;
    Ok(match explanation.outcome {
        explain::Outcome::Passes | explain::Outcome::Redirected => Exit::Done,
        explain::Outcome::Sometimes | explain::Outcome::Refused => Exit::Findings,
    })
}

fn explanation((model, live): (&Model, &Live), call: &Call, now: Timestamp) -> Explanation {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let mut explanation = explain::explain(model, call, live, seconds);
    let refused = model
        .refused()
        .iter()
        .map(|it| format!("the proxy refuses {} and goes on with what it had: {}", it.key, it.why));
    explanation.notes.extend(refused);
    explanation
}

/// The request that is meant.
fn call(args: &ExplainArgs) -> Result<Call, Failure> {
    let (method, url) = match (args.what.as_slice(), &args.method) {
        ([url], None) => ("GET", url),
        ([url], Some(method)) => (method.as_str(), url),
        ([method, url], None) => (method.as_str(), url),
        ([_, _], Some(_)) => {
            return Err(
                Failure::usage("the method was given twice").help("leave one of the two out")
            );
        }
        _ => {
            return Err(Failure::usage("which request?")
                .help("write `meshctl explain --from SERVICE [METHOD] http://HOST/PATH`"));
        }
    };
    let headers = args.headers.clone();
    let call = match &args.grpc {
        Some(_) if args.what.len() > 1 => {
            return Err(Failure::usage("`--grpc` cannot be used with a method of HTTP")
                .help("leave one of the two out"));
        }
        Some(method) => Call::grpc(method, url, headers),
        None => Call::http(method, url, headers),
    };
    call.map_err(Failure::misuse)
}

/// A value as other documents are: with its version and kind.
pub(super) fn typed(kind: &str, content: &impl serde::Serialize) -> Result<Value, Failure> {
    let mut value = json!({ "apiVersion": API_VERSION, "kind": kind });
    let fields = serde_json::to_value(content)?;
    if let (Some(all), Value::Object(fields)) = (value.as_object_mut(), fields) {
        all.extend(fields);
    }
    Ok(value)
}
