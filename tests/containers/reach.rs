//! Where a server in a container can be reached from here.

use std::time::Duration;

use testcontainers::{ContainerAsync, GenericImage};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::common::eventually;

/// The URL of the NATS server in a container: its port is published on the engine's host, which may be this one though the
/// library takes us for a container, or, where nothing is published, it is at the container itself.
pub(crate) async fn reachable(container: &ContainerAsync<GenericImage>) -> String {
    let mut places = Vec::new();
    if let Ok(port) = container.get_host_port_ipv4(4222).await {
        places.push(("127.0.0.1".to_owned(), port));
        places.extend(container.get_host().await.map(|host| (host.to_string(), port)));
    }
    places.extend(container.get_bridge_ip_address().await.map(|ip| (ip.to_string(), 4222)));
    eventually(&format!("one of {places:?} lets us connect"), async || {
        for (host, port) in &places {
            let connecting = TcpStream::connect((host.as_str(), *port));
            if let Ok(Ok(mut stream)) = tokio::time::timeout(Duration::from_secs(2), connecting).await
                && stream.read_u8().await.is_ok_and(|first| first == b'I')
            {
                return Some(format!("nats://{host}:{port}"));
            }
        }
        None
    })
    .await
}
