//! Cluster: how this node reaches its broker.

use crate::cluster::ClusterSettings;
use crate::diagnosis::Finding;

pub(super) fn judge(cluster: &ClusterSettings) -> Option<Finding> {
    let plain = cluster.nats.iter().find(|url| url.starts_with("nats://"))?;
    Some(Finding::warning(
        None,
        format!("the messages of the cluster are not encrypted on the way to {plain}"),
        "",
        "use tls:// in `nats` under [cluster], unless the network is your own",
    ))
}

#[cfg(test)]
#[cfg(feature = "nats")]
mod tests {
    use super::*;
    use crate::config::Config;

    fn found(nats: &str) -> Option<Finding> {
        let text =
            format!("credentials.secrets = [\"north-north\"]\n[cluster]\nnode = \"a\"\nnats = [{nats}]");
        let cluster = Config::parse(&text, "f.toml", None).expect(&text).cluster;
        judge(&cluster.expect("it names a broker"))
    }

    #[test]
    fn a_broker_without_tls_is_named() {
        assert_eq!(found("\"tls://nats.example.org\""), None);
        let finding = found("\"tls://nats.example.org\", \"nats://10.0.0.1\"").unwrap();
        assert!(finding.hint().contains("on the way to nats://10.0.0.1:4222: use tls://"), "{finding}");
    }
}
