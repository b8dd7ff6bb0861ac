use super::*;
use crate::Policy;
use crate::cluster::found::{FoundVersion, Workload};

/// Settings that take claims as they are; a path of `bad` is refused.
#[derive(Default)]
struct Rules {
    /// Namespace and the only host that it may claim.
    limited: Option<(&'static str, &'static str)>,
    held: Option<&'static str>,
    fixed: Option<&'static str>,
}

impl Settings for Rules {
    fn settle(&self, claim: &Arc<Claim>) -> Result<Settled, Vec<String>> {
        let specified = claim.spec.as_ref().and_then(|spec| spec.path.clone());
        let path = specified.or_else(|| claim.path.clone()).unwrap_or_else(|| "/".to_owned());
        if path == "bad" {
            return Err(vec!["path: bad".to_owned()]);
        }
        let hosts = claim.hosts.clone();
        Ok(Settled {
            hosts,
            path,
            policy: Policy::default(),
            active: None,
            canary: None,
            health_checked: false,
        })
    }

    fn may_claim(&self, namespace: &str, host: Option<&str>) -> bool {
        self.limited.is_none_or(|(limited, only)| limited != namespace || host == Some(only))
    }

    fn holder(&self, host: Option<&str>, _: &str) -> Option<AppId> {
        (host.is_some() && host == self.held).then(|| "static".parse().unwrap())
    }

    fn is_fixed(&self, app: &AppId) -> bool {
        self.fixed.is_some_and(|fixed| app.to_string() == fixed)
    }
}

/// `namespace/name second host,host path`: an app whose Deployment was made then.
fn app(text: &str) -> Arc<FoundApp> {
    let mut words = text.split(' ');
    let id: AppId = words.next().unwrap().parse().unwrap();
    let created = Timestamp::from_second(words.next().unwrap().parse().unwrap()).unwrap();
    let hosts = words.next().unwrap_or_default().split(',').filter(|host| !host.is_empty());
    let claim = Claim {
        id: id.clone(),
        spec: None,
        hosts: hosts.map(str::to_owned).collect(),
        path: words.next().map(str::to_owned),
        expire_policy: None,
    };
    let version = FoundVersion {
        id: "v1".parse().unwrap(),
        revision: 1,
        workload: Workload {
            deployment: "d".to_owned(),
            uid: "u".to_owned(),
            service: None,
            desired: 1,
            pods: 1,
            deleting: false,
            template: String::new(),
            created,
        },
        endpoints: [].into(),
        http2: false,
    };
    Arc::new(FoundApp { id, claim: Arc::new(claim), versions: vec![version] })
}

fn show(grants: &Grants) -> String {
    let mut lines: Vec<_> =
        grants.granted.iter().map(|(id, grant)| format!("{id} {}", grant.hosts.join(","))).collect();
    lines.sort();
    let problems = grants.problems.iter();
    lines.extend(problems.map(|problem| format!("! {} {}", problem.namespace, problem.reason.as_str())));
    lines.join("\n")
}

fn decided(settlements: &mut Settlements, rules: &Rules, apps: &[&str]) -> String {
    let apps: Vec<_> = apps.iter().map(|text| app(text)).collect();
    show(&settlements.decide(&apps, &|_| None, rules))
}

#[test]
fn the_older_claim_wins() {
    let plain = Rules::default();
    let limited = Rules { limited: Some(("a", "a.example")), ..Rules::default() };
    let held = Rules { held: Some("x.example"), ..Rules::default() };
    let fixed = Rules { fixed: Some("a/one"), ..Rules::default() };
    let cases: [(&Rules, &[&str], &str); 8] = [
        (&plain, &["a/one 1 x.example", "b/two 2 y.example"], "a/one x.example\nb/two y.example"),
        (&plain, &["a/one 2 x.example", "b/two 1 x.example"], "b/two x.example\n! a RouteConflict"),
        // Of one age, the name decides; other hosts are not affected.
        (
            &plain,
            &["b/two 1 x.example,y.example", "a/one 1 x.example"],
            "a/one x.example\nb/two y.example\n! b RouteConflict",
        ),
        (&plain, &["a/one 1 x.example /a", "b/two 2 x.example /b"], "a/one x.example\nb/two x.example"),
        (&plain, &["a/one 1", "b/two 2"], "a/one \n! b RouteConflict"),
        (
            &limited,
            &["a/one 1 a.example,b.example", "a/all 2", "b/two 3"],
            "a/one a.example\nb/two \n! a HostNotAllowed\n! a HostNotAllowed",
        ),
        (&held, &["a/one 1 x.example"], "! a RouteConflict"),
        (&fixed, &["a/one 1 x.example"], "! a RouteConflict"),
    ];
    for (rules, apps, expected) in cases {
        assert_eq!(decided(&mut Settlements::default(), rules, apps), expected, "{apps:?}");
    }
}

#[test]
fn an_app_that_asks_for_what_can_not_be_keeps_what_it_had() {
    let (mut settlements, rules) = (Settlements::default(), Rules::default());
    assert_eq!(
        decided(&mut settlements, &rules, &["a/one 1 x.example bad"]),
        "! a InvalidSettings\n! a NotRouted"
    );
    assert_eq!(decided(&mut settlements, &rules, &["a/one 1 x.example /"]), "a/one x.example");
    let kept = "a/one x.example\n! a InvalidSettings";
    assert_eq!(decided(&mut settlements, &rules, &["a/one 1 y.example bad"]), kept);
    assert_eq!(decided(&mut settlements, &rules, &["a/one 1 y.example /"]), "a/one y.example");
}

#[test]
fn an_app_without_deployments_keeps_what_its_labels_asked_for() {
    let (mut settlements, rules) = (Settlements::default(), Rules::default());
    let gone = FoundApp { versions: Vec::new(), ..FoundApp::clone(&app("a/one 1")) };
    let gone = [Arc::new(gone)];
    assert_eq!(show(&settlements.decide(&gone, &|_| None, &rules)), "");
    assert_eq!(decided(&mut settlements, &rules, &["a/one 1 x.example /"]), "a/one x.example");
    assert_eq!(show(&settlements.decide(&gone, &|_| None, &rules)), "a/one x.example");
}

#[test]
fn a_conflict_says_why_the_other_has_it() {
    let held = Rules { held: Some("x.example"), ..Rules::default() };
    for (rules, why) in
        [(Rules::default(), "which claimed it first"), (held, "entry in the configuration wins")]
    {
        let apps = [app("a/one 1 x.example"), app("b/two 2 x.example")];
        let problems = Settlements::default().decide(&apps, &|_| None, &rules).problems;
        assert!(problems.last().unwrap().message.contains(why), "{problems:?}");
    }
}

#[test]
fn a_replica_that_never_saw_good_settings_goes_by_what_the_leader_knew() {
    let spec = |path: &str| VersionedAppSpec { path: Some(path.to_owned()), ..VersionedAppSpec::default() };
    let claim = Claim { spec: Some(spec("bad")), ..Claim::clone(&app("a/one 1 x.example").claim) };
    let asks = [Arc::new(FoundApp { claim: Arc::new(claim), ..FoundApp::clone(&app("a/one 1 x.example")) })];
    let resource = |accepted: Option<&str>| {
        let mut resource = VersionedApp::new("one", spec("bad"));
        resource.status.get_or_insert_default().accepted = accepted.map(|path| Box::new(spec(path)));
        Arc::new(resource)
    };
    let cases = [
        (None, "! a InvalidSettings\n! a NotRouted"),
        (Some("bad"), "! a InvalidSettings\n! a NotRouted"),
        (Some("/good"), "a/one x.example\n! a InvalidSettings"),
    ];
    for (accepted, expected) in cases {
        let resource = resource(accepted);
        let of = |_: &AppId| Some(Arc::clone(&resource));
        let grants = Settlements::default().decide(&asks, &of, &Rules::default());
        assert_eq!(show(&grants), expected, "{accepted:?}");
        assert_eq!(
            grants.settled.values().next().map(|settled| settled.path.as_str()),
            accepted.filter(|_| expected.starts_with("a/"))
        );
    }
}

#[test]
fn the_older_keeps_its_host_when_its_first_deployment_goes() {
    let at = |second| Timestamp::from_second(second).unwrap();
    let resource = |made: i64, since: Option<i64>| {
        let mut resource = VersionedApp::new("", VersionedAppSpec::default());
        let made = k8s_openapi::jiff::Timestamp::from_second(made).unwrap();
        resource.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(made));
        resource.status.get_or_insert_default().since = since.map(at);
        Arc::new(resource)
    };
    // Both were there before their resources were made, and the first version of the older one is gone.
    let apps = [app("a/young 5 x.example"), app("b/old 20 x.example")];
    let (young, old) = (resource(10, None), resource(10, Some(1)));
    assert_eq!(since(Some(&apps[0]), Some(&young)), Some(at(5)));
    assert_eq!(since(Some(&apps[1]), Some(&old)), Some(at(1)), "what is written stays");
    let of = |id: &AppId| Some(Arc::clone(if id.name() == "old" { &old } else { &young }));
    let grants = Settlements::default().decide(&apps, &of, &Rules::default());
    assert_eq!(show(&grants), "b/old x.example\n! a RouteConflict");
}
