//! A version of an app as users deploy it: a Deployment and its Service.

use serde_json::{Map, Value, json};

/// A Deployment with its Service, in the making.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// Its namespace.
    pub namespace: String,
    /// The name of both objects, and the label `app.kubernetes.io/instance`.
    pub name: String,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    image: String,
    replicas: u32,
    pub(super) port: u16,
    app_protocol: Option<String>,
    service: bool,
}

/// One pod of a version of an app, in the namespace `web`, with a Service.
pub fn rollout(app: &str, version: &str) -> Rollout {
    let name = format!("{app}-{version}").to_lowercase().replace(['.', '_'], "-");
    let labels = [("app.kubernetes.io/name", app), ("plt.dev/version", version)];
    Rollout {
        namespace: "web".to_owned(),
        name,
        labels: labels.map(|(key, value)| (key.to_owned(), json!(value))).into_iter().collect(),
        annotations: Map::new(),
        image: format!("registry.example/{app}:{version}"),
        replicas: 1,
        port: 8080,
        app_protocol: None,
        service: true,
    }
}

impl Rollout {
    /// In another namespace.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self }
    }

    /// Under another name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    /// With one more label on the pods.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), json!(value));
        self
    }

    /// Without a label.
    #[must_use]
    pub fn without_label(mut self, key: &str) -> Self {
        self.labels.remove(key);
        self
    }

    /// With one more annotation on the Deployment.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), json!(value));
        self
    }

    /// With another image.
    #[must_use]
    pub fn image(self, image: &str) -> Self {
        Self { image: image.to_owned(), ..self }
    }

    /// With so many pods.
    #[must_use]
    pub fn replicas(self, replicas: u32) -> Self {
        Self { replicas, ..self }
    }

    /// On another port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// With an `appProtocol` on the port of the Service.
    #[must_use]
    pub fn app_protocol(self, protocol: &str) -> Self {
        Self { app_protocol: Some(protocol.to_owned()), ..self }
    }

    /// Without a Service.
    #[must_use]
    pub fn without_service(self) -> Self {
        Self { service: false, ..self }
    }

    /// The path of its Deployment in the API.
    pub fn path(&self) -> String {
        format!("/apis/apps/v1/namespaces/{}/deployments/{}", self.namespace, self.name)
    }

    /// The path of its Service in the API.
    pub fn service_path(&self) -> String {
        format!("/api/v1/namespaces/{}/services/{}", self.namespace, self.name)
    }

    /// Its Deployment.
    pub fn deployment(&self) -> Value {
        let labels = self.labels();
        let container = json!({
            "name": "app",
            "image": self.image,
            "ports": [{"name": "http", "containerPort": self.port, "protocol": "TCP"}],
        });
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "labels": labels, "annotations": self.annotations},
            "spec": {
                "replicas": self.replicas,
                "selector": {"matchLabels": {"app.kubernetes.io/instance": self.name}},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        })
    }

    /// Its Service, if it has one.
    pub fn service(&self) -> Option<Value> {
        let mut port = json!({"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"});
        if let Some(protocol) = &self.app_protocol {
            port["appProtocol"] = json!(protocol);
        }
        self.service.then(|| {
            json!({
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": self.name, "labels": self.labels()},
                "spec": {"selector": {"app.kubernetes.io/instance": self.name}, "ports": [port]},
            })
        })
    }

    fn labels(&self) -> Map<String, Value> {
        let mut labels = self.labels.clone();
        labels.insert("app.kubernetes.io/instance".to_owned(), json!(self.name));
        labels
    }
}
