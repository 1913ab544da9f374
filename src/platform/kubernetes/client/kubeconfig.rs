//! Which files, which context, and what they say, checked so that every mistake has its own words.
//!
//! `kubectl` skips files of `KUBECONFIG` that are not there; `--kubeconfig` must be. The first file
//! that says something wins. A context that names what is not there is refused, not replaced.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use serde::Deserialize as _;
use tower::BoxError;

use super::ClientError;
use super::exec::{Credentials, Plugin};

/// The environment variable that names files.
const VARIABLE: &str = "KUBECONFIG";

/// What was chosen.
pub(super) struct Chosen {
    /// The file or files, for messages.
    pub(super) file: String,
    /// The context's name.
    pub(super) context: String,
    /// All files as one.
    pub(super) config: Kubeconfig,
    /// Names the context.
    pub(super) options: KubeConfigOptions,
}

/// Reads the files, finds the context and all that it names.
pub(super) fn choose(
    explicit: Option<&Path>,
    context: Option<&str>,
) -> Result<Chosen, ClientError> {
    let files = match explicit {
        Some(file) => vec![file.to_owned()],
        None => from_environment(),
    };
    let shown = |files: &[PathBuf]| {
        files.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(":")
    };
    let present: Vec<PathBuf> = files.iter().filter(|it| it.exists()).cloned().collect();
    if present.is_empty() {
        return Err(ClientError::Missing(shown(&files)));
    }
    let file = shown(&present);
    let config = merged(&present)?;
    let context = context.map(str::to_owned).or_else(|| config.current_context.clone());
    let Some(context) = context else { return Err(ClientError::NoContext { file }) };
    check(&config, &file, &context)?;
    let options = KubeConfigOptions { context: Some(context.clone()), ..Default::default() };
    Ok(Chosen { file, context, config, options })
}

/// `KUBECONFIG`, else `~/.kube/config`.
fn from_environment() -> Vec<PathBuf> {
    let listed = std::env::var_os(VARIABLE).unwrap_or_default();
    let listed: Vec<_> =
        std::env::split_paths(&listed).filter(|it| !it.as_os_str().is_empty()).collect();
    match (listed.is_empty(), etcetera::home_dir()) {
        (true, Ok(home)) => vec![home.join(".kube").join("config")],
        (true, Err(_)) => vec![PathBuf::from("~/.kube/config")],
        (false, _) => listed,
    }
}

fn merged(files: &[PathBuf]) -> Result<Kubeconfig, ClientError> {
    let mut all = Kubeconfig::default();
    for path in files {
        let failed = |source| ClientError::Read { file: path.display().to_string(), source };
        for mut one in read(path).map_err(failed)? {
            // An empty name is none, or a later file could not say it.
            one.current_context = one.current_context.filter(|name| !name.is_empty());
            all = all.merge(one).map_err(|error| failed(error.into()))?;
        }
    }
    Ok(all)
}

/// Each document of a file, which names other files from where it lies. Read by the YAML parser that
/// the rest of the program has; `kube` would bring another one along.
fn read(path: &Path) -> Result<Vec<Kubeconfig>, BoxError> {
    let text = std::fs::read(path)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let documents = serde_yaml::Deserializer::from_slice(&text).map(|document| {
        let mut config = Option::<Kubeconfig>::deserialize(document)?.unwrap_or_default();
        named_files(&mut config).for_each(|file| {
            // What is absolute stays so, and what lies in a directory that cannot be said in UTF-8.
            if let Some(found) = directory.join(&*file).to_str() {
                *file = found.to_owned();
            }
        });
        Ok(config)
    });
    documents.collect()
}

/// What a kubeconfig says of other files.
fn named_files(config: &mut Kubeconfig) -> impl Iterator<Item = &mut String> {
    let clusters = config.clusters.iter_mut().filter_map(|it| it.cluster.as_mut());
    let users = config.auth_infos.iter_mut().filter_map(|it| it.auth_info.as_mut());
    clusters.filter_map(|it| it.certificate_authority.as_mut()).chain(users.flat_map(files_of_user))
}

fn files_of_user(user: &mut AuthInfo) -> impl Iterator<Item = &mut String> {
    let command = user.exec.as_mut().and_then(|it| it.command.as_mut());
    let files = [&mut user.client_certificate, &mut user.client_key, &mut user.token_file];
    // A command without a `/` is no file: it is looked for in `PATH`.
    files.into_iter().flatten().chain(command.filter(|it| it.contains('/')))
}

/// The context and what it names are there.
fn check(config: &Kubeconfig, file: &str, context: &str) -> Result<(), ClientError> {
    let found = config.contexts.iter().find(|it| it.name == context);
    let Some(found) = found.and_then(|it| it.context.as_ref()) else {
        let known = config.contexts.iter().map(|it| it.name.clone()).collect();
        let (file, context) = (file.to_owned(), context.to_owned());
        return Err(ClientError::UnknownContext { file, context, known });
    };
    let dangling = |what, name: &str| ClientError::Dangling {
        file: file.to_owned(),
        context: context.to_owned(),
        what,
        name: name.to_owned(),
    };
    if !config.clusters.iter().any(|it| it.name == found.cluster && it.cluster.is_some()) {
        return Err(dangling("cluster", &found.cluster));
    }
    let user = found.user.as_deref().filter(|name| !name.is_empty());
    match user {
        Some(user) if !config.auth_infos.iter().any(|it| it.name == user) => {
            Err(dangling("user", user))
        }
        _ => Ok(()),
    }
}

/// The settings of a context: files read, the credential plugin run once. A plugin that gives
/// tokens comes back, because tokens end.
pub(super) async fn resolve(
    config: Kubeconfig,
    options: &KubeConfigOptions,
) -> Result<(Config, Option<Plugin>), BoxError> {
    let proxied = names_proxy(&config, options);
    let mut config = Config::from_custom_kubeconfig(config, options).await?;
    if !proxied {
        // What the environment wants is found out where the connection is built.
        config.proxy_url = None;
    }
    if config.root_cert.as_ref().is_some_and(Vec::is_empty) {
        return Err("its certificate authority holds no certificate".into());
    }
    let plain = config.cluster_url.scheme_str() == Some("http");
    if config.root_cert.is_none() && (plain || config.accept_invalid_certs) {
        // Nothing will be verified, so the trust store of the system need not be there.
        config.root_cert = Some(Vec::new());
    }
    let Some(exec) = config.auth_info.exec.take() else { return Ok((config, None)) };
    let plugin = Plugin::new(exec);
    let plugin = match plugin.run().await? {
        Credentials::Token => Some(plugin),
        Credentials::Certificate { certificate, key } => {
            config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
            config.auth_info.client_key_data = Some(STANDARD.encode(key).into());
            None
        }
    };
    Ok((config, plugin))
}

/// Whether the chosen cluster says itself that a proxy is before it.
fn names_proxy(config: &Kubeconfig, options: &KubeConfigOptions) -> bool {
    let context = config.contexts.iter().find(|it| Some(&it.name) == options.context.as_ref());
    let cluster = context.and_then(|it| it.context.as_ref()).map(|it| &it.cluster);
    let cluster = config.clusters.iter().find(|it| Some(&it.name) == cluster);
    let url = cluster.and_then(|it| it.cluster.as_ref()).and_then(|it| it.proxy_url.as_ref());
    url.is_some_and(|url| !url.is_empty())
}
