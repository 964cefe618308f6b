//! temp
use std::time::Duration;
use futures::StreamExt;
use presence::config::Config;
use presence::nats::server::{EmbeddedServer, ServerOptions};
use presence::nats::{ConnectOptions, Nats, topology};

#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    tracing_subscriber::fmt().with_env_filter("info").init();
    let dir = tempfile::tempdir().unwrap();
    let server = EmbeddedServer::start(ServerOptions { binary: Some(".tools/bin/nats-server".into()), data_dir: dir.path().into(), port: 14333 }).await.unwrap();
    let url = server.url().to_owned();
    let connect = || async { Nats::connect(&ConnectOptions { url: Some(url.clone()), ..ConnectOptions::default() }).await.unwrap() };
    let nats = connect().await;
    let mut config = Config::default();
    config.use_profile("demo").unwrap();
    let parameters = topology::Parameters::default();
    topology::setup(&nats, &parameters).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (live, is_live) = tokio::sync::oneshot::channel::<()>();
    let engine_config = config.clone();
    let engine_nats = connect().await;
    let t0 = std::time::Instant::now();
    let engine = tokio::spawn(async move { presence::runtime::run(&engine_nats, &engine_config, async { stopped.await.ok(); }, || { live.send(()).ok(); }).await });
    is_live.await.unwrap();
    println!("live after {:?}", t0.elapsed());
    let mut sub = nats.client.subscribe("presence.v1.session.>").await.unwrap();
    nats.client.publish("presence.v1.signal.main.alice.laptop", "{}".into()).await.unwrap();
    for _ in 0..5 {
        let m = tokio::time::timeout(Duration::from_secs(10), sub.next()).await.unwrap().unwrap();
        println!("{:?} {}", t0.elapsed(), String::from_utf8_lossy(&m.payload));
    }
    stop.send(()).unwrap();
    engine.await.unwrap().unwrap();
    server.stop().await;
}
