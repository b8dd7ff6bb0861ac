//! Section `ai` of one configuration, made ready for requests: what is looked up is indexed, what
//! is read from files is there. A request keeps the snapshot that it began with.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora::protocols::tls::CaType;

use super::attempts::cooldown::Health;
use super::keys::{Keyring, UseBook};
use super::route::{Endpoint, Prefix};
use crate::config::ai::model::{Ai, Model, Provider, ProviderKind, Target};
use crate::tls::authorities::{self, AuthoritiesError};

/// What requests are served by.
pub struct Snapshot {
    /// The configuration.
    pub config: Arc<Ai>,
    /// Where the gateway's paths begin.
    pub prefix: Prefix,
    /// Who may call.
    pub keyring: Keyring,
    models: HashMap<String, Arc<Route>>,
    /// The most specific first.
    patterns: Vec<Arc<Route>>,
    default_provider: Option<Arc<Route>>,
}

/// A model with the state of its targets.
pub struct Route {
    /// The model as configured.
    pub model: Arc<Model>,
    /// Its targets, in the order of the file.
    pub targets: Vec<Destination>,
}

/// One target, ready to be asked.
pub struct Destination {
    /// The target as configured.
    pub target: Arc<Target>,
    /// How it has done lately.
    pub health: Arc<Health>,
    /// The private authorities that it is verified against.
    pub authorities: Option<Arc<CaType>>,
}

/// How targets have done lately, by provider and model; outlives configurations.
#[derive(Default)]
pub struct Healths(Mutex<HashMap<(String, String), Arc<Health>>>);

/// How a provider is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// As the client speaks: bytes pass as they are.
    Native,
    /// A client of chat/completions and a provider of Anthropic's messages.
    ChatToMessages,
}

impl Snapshot {
    /// Makes a configuration ready.
    ///
    /// # Errors
    /// If a bundle of authorities can't be used.
    pub fn new(config: Arc<Ai>, uses: &UseBook, healths: &Healths) -> Result<Self, AuthoritiesError> {
        let mut bundles = HashMap::new();
        for path in config.providers.iter().filter_map(|provider| provider.ca.as_ref()) {
            if !bundles.contains_key(path) {
                bundles.insert(path.clone(), authorities::load(path)?);
            }
        }
        let destination = |target: &Arc<Target>, model: &str| Destination {
            target: Arc::clone(target),
            health: healths.of(&target.provider.name, target.model.as_deref().unwrap_or(model)),
            authorities: target.provider.ca.as_ref().and_then(|path| bundles.get(path)).cloned(),
        };
        let route = |model: &Arc<Model>| {
            let targets = model.targets.iter().map(|target| destination(target, &model.name)).collect();
            Arc::new(Route { model: Arc::clone(model), targets })
        };
        let routes: Vec<_> = config.models.iter().map(&route).collect();
        let (mut patterns, models): (Vec<_>, Vec<_>) =
            routes.into_iter().partition(|route| route.model.pattern.is_some());
        let literal = |route: &Arc<Route>| route.model.name.chars().filter(|c| !"*?".contains(*c)).count();
        patterns.sort_by_key(|route| std::cmp::Reverse(literal(route)));
        let default_provider = config.default_provider.as_ref().map(|p| route(&alone(p, &config)));
        healths.keep(&config);
        Ok(Self {
            prefix: Prefix::new(config.path.as_str()),
            keyring: Keyring::new(&config.keys, uses),
            models: models.into_iter().map(|route| (route.model.name.clone(), route)).collect(),
            patterns,
            default_provider,
            config,
        })
    }

    /// The model with a name: one that is named so, else the most specific pattern.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&Arc<Route>> {
        let matches =
            |route: &&Arc<Route>| route.model.pattern.as_ref().is_some_and(|pattern| pattern.matches(name));
        self.models.get(name).or_else(|| self.patterns.iter().find(matches))
    }

    /// The default provider, as a model of one target.
    #[must_use]
    pub fn default_provider(&self) -> Option<&Arc<Route>> {
        self.default_provider.as_ref()
    }

    /// The models and the state of their targets.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        let mut models: Vec<_> = self.models.values().collect();
        models.sort_by(|one, other| one.model.name.cmp(&other.model.name));
        models.into_iter().chain(&self.patterns)
    }
}

/// A provider as the only target of a model.
fn alone(provider: &Arc<Provider>, config: &Ai) -> Arc<Model> {
    use crate::config::ai::model::{Midstream, Strategy};
    let target = Target {
        provider: Arc::clone(provider),
        model: None,
        context_window: None,
        prefill: false,
        price: None,
        weight: 1,
        timeouts: config.timeouts,
    };
    Arc::new(Model {
        name: String::new(),
        pattern: None,
        targets: vec![Arc::new(target)],
        strategy: Strategy::Priority,
        midstream: Midstream::Error,
    })
}

impl Dialect {
    /// How a provider of some kind serves an endpoint, if it does.
    #[must_use]
    pub fn of(kind: ProviderKind, endpoint: Endpoint) -> Option<Self> {
        match (kind, endpoint) {
            (_, Endpoint::Raw) | (ProviderKind::Anthropic, Endpoint::Messages) => Some(Self::Native),
            (ProviderKind::Anthropic, Endpoint::Chat) => Some(Self::ChatToMessages),
            (ProviderKind::Anthropic, _) | (_, Endpoint::Messages) => None,
            _ => Some(Self::Native),
        }
    }
}

impl Healths {
    fn of(&self, provider: &str, model: &str) -> Arc<Health> {
        Arc::clone(self.0.lock().entry((provider.to_owned(), model.to_owned())).or_default())
    }

    fn keep(&self, config: &Ai) {
        self.0.lock().retain(|(name, _), _| config.providers.iter().any(|provider| *provider.name == **name));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    #[test]
    fn the_most_specific_name_wins() {
        let text = "server: {listen: [{addr: '127.0.0.1:0'}]}
ai:
  providers: {p: {kind: openai, base_url: 'http://h'}}
  models:
    '*': {targets: [{provider: p}]}
    'gpt-*': {targets: [{provider: p}]}
    gpt-4o: {targets: [{provider: p}]}";
        let config = config::parse(text, Path::new("x"), &HashMap::new()).unwrap();
        let snapshot = Snapshot::new(config.ai.unwrap(), &UseBook::default(), &Healths::default()).unwrap();
        for (asked, expected) in [("gpt-4o", "gpt-4o"), ("gpt-5", "gpt-*"), ("claude", "*")] {
            assert_eq!(snapshot.model(asked).unwrap().model.name, expected);
        }
        let names: Vec<_> = snapshot.routes().map(|route| route.model.name.as_str()).collect();
        assert_eq!(names, ["gpt-4o", "gpt-*", "*"]);
    }

    #[test]
    fn kinds_serve_endpoints() {
        use ProviderKind as K;
        let cases = [
            (K::Openai, Endpoint::Chat, Some(Dialect::Native)),
            (K::Azure, Endpoint::Embeddings, Some(Dialect::Native)),
            (K::Openai, Endpoint::Messages, None),
            (K::Anthropic, Endpoint::Messages, Some(Dialect::Native)),
            (K::Anthropic, Endpoint::Chat, Some(Dialect::ChatToMessages)),
            (K::Anthropic, Endpoint::Embeddings, None),
            (K::Anthropic, Endpoint::Raw, Some(Dialect::Native)),
        ];
        for (kind, endpoint, expected) in cases {
            assert_eq!(Dialect::of(kind, endpoint), expected, "{kind:?} {endpoint:?}");
        }
    }
}
