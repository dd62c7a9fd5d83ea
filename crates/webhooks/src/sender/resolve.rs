//! Names → addresses, without search domains, remembered for a minute at most.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::{TokioResolver, net::runtime::TokioRuntimeProvider};

use super::SenderError;
use crate::verdict::Unreachable;

/// How long an answer is remembered at most, so that a receiver that moved is found.
const REMEMBERED_MAX: Duration = Duration::from_secs(60);
const REFUSED_MAX: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Resolver {
    resolver: TokioResolver,
}

impl Resolver {
    pub(super) fn new(name_servers: &[SocketAddr]) -> Result<Self, SenderError> {
        let mut builder = if name_servers.is_empty() {
            match TokioResolver::builder_tokio() {
                Ok(builder) => builder,
                // No /etc/resolv.conf: names are those of the hosts file alone, and addresses need no name server.
                Err(_) => TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default()),
            }
        } else {
            let servers = name_servers.iter().map(|server| name_server(*server)).collect();
            TokioResolver::builder_with_config(ResolverConfig::from_name_servers(servers), TokioRuntimeProvider::default())
        };
        let options = builder.options_mut();
        options.timeout = Duration::from_secs(1);
        options.attempts = 1;
        options.positive_max_ttl = Some(REMEMBERED_MAX);
        options.negative_max_ttl = Some(REFUSED_MAX);
        let resolver = builder.build().map_err(|error| SenderError::Resolver(error.to_string()))?;
        Ok(Self { resolver })
    }

    pub(super) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Unreachable> {
        // The full stop at the end keeps search domains out.
        let found = self.resolver.lookup_ip(format!("{name}.")).await;
        found.map(|found| found.iter().collect()).map_err(|error| Unreachable::Resolve(error.to_string()))
    }
}

fn name_server(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}
