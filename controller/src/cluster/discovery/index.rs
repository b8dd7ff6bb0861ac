//! Finds what belongs together among the objects of one namespace, without comparing each with
//! each.

use std::collections::HashMap;

use super::Objects;
use super::objects::{Deployment, Labels, Pod, Service, Slice};

type Pair<'o> = (&'o str, &'o str);

/// Ways through the objects of one namespace.
pub(super) struct Index<'o> {
    pub(super) objects: &'o Objects,
    /// Deployments by each label of their templates.
    deployments: HashMap<Pair<'o>, Vec<&'o Deployment>>,
    /// Services by the first pair of their selectors.
    services: HashMap<Pair<'o>, Vec<(&'o str, &'o Service)>>,
    slices: HashMap<&'o str, Vec<&'o Slice>>,
    /// Pods by Deployment.
    pods: HashMap<&'o str, Vec<(&'o str, &'o Pod)>>,
}

impl<'o> Index<'o> {
    pub(super) fn new(objects: &'o Objects) -> Self {
        let mut index = Self {
            objects,
            deployments: HashMap::new(),
            services: HashMap::new(),
            slices: HashMap::new(),
            pods: HashMap::new(),
        };
        for deployment in objects.deployments.values() {
            for pair in pairs(&deployment.labels) {
                index.deployments.entry(pair).or_default().push(deployment);
            }
        }
        for (name, service) in &objects.services {
            if let Some(first) = pairs(&service.selector).next() {
                index.services.entry(first).or_default().push((name, service));
            }
        }
        for slice in objects.slices.values() {
            index.slices.entry(&slice.service).or_default().push(slice);
        }
        for (name, pod) in &objects.pods {
            index.pods.entry(&pod.deployment).or_default().push((name, pod));
        }
        index
    }

    /// The pods of a Deployment, terminating ones included.
    pub(super) fn pods(&self, deployment: &str) -> &[(&'o str, &'o Pod)] {
        self.pods.get(deployment).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn slices(&self, service: &str) -> &[&'o Slice] {
        self.slices.get(service).map(Vec::as_slice).unwrap_or_default()
    }

    /// The Services that select pods with these labels.
    pub(super) fn selecting(&self, labels: &'o Labels) -> impl Iterator<Item = (&'o str, &'o Service)> {
        let first = pairs(labels).filter_map(|pair| self.services.get(&pair));
        first.flatten().filter(|(_, service)| selects(&service.selector, labels)).copied()
    }

    /// Whether a Service selects pods of another Deployment too.
    pub(super) fn selects_others(&self, service: &'o Service, than: &Deployment) -> bool {
        let having = pairs(&service.selector).map(|pair| self.deployments.get(&pair).map(Vec::as_slice));
        let fewest = having.map(Option::unwrap_or_default).min_by_key(|deployments| deployments.len());
        let mut others = fewest.unwrap_or_default().iter().filter(|other| other.name != than.name);
        others.any(|other| selects(&service.selector, &other.labels))
    }
}

fn pairs(labels: &Labels) -> impl Iterator<Item = Pair<'_>> {
    labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
