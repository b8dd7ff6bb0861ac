//! Prints the CRD of `VersionedApp`, as it ships in `conf/k8s/base/crd.yaml`.

use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout().write_all(lockstep_controller::cluster::resource::crd_yaml().as_bytes())
}
