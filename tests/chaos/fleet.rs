//! The engines, each behind doors of its own to every server.

use futures::future::join_all;

use super::cluster::Cluster;
use super::proxy::{Door, Passage};
use super::random::Random;
use super::story::Story;
use crate::common::engine::Engine;

pub(crate) struct Fleet {
    posts: Vec<Post>,
}

struct Post {
    engine: Engine,
    /// By the server that they lead to.
    doors: Vec<Door>,
}

impl Fleet {
    pub(crate) async fn start(
        engines: usize,
        cluster: &Cluster,
        config: &str,
        random: &mut Random,
        story: &Story,
    ) -> Self {
        let mut posts = Vec::new();
        for _ in 0..engines {
            let seed = random.next();
            let doors = join_all(cluster.ports().map(|port| Door::to(port, seed))).await;
            let url = doors.iter().map(Door::url).collect::<Vec<_>>().join(",");
            posts.push(Post { engine: Engine::spawn_in(story.folder(), &url, config).await, doors });
        }
        Self { posts }
    }

    pub(crate) fn engine(&mut self, engine: usize) -> &mut Engine {
        &mut self.posts[engine].engine
    }

    /// Asks an engine to end and sees it end in peace.
    pub(crate) async fn terminate(&mut self, engine: usize) {
        let end = self.posts[engine].engine.terminate().await;
        assert_eq!(end.status.code(), Some(0), "engine {engine} was asked to end: {}", last_words(&end.stderr));
    }

    /// As [`Fleet::terminate`] while servers may fail: then it may have to say that not all was committed.
    pub(crate) async fn terminate_in_a_storm(&mut self, engine: usize, story: &Story) {
        self.tend(story);
        let end = self.posts[engine].engine.terminate().await;
        if end.status.code() != Some(0) {
            story.say(format!("engine {engine} ended by {}: {}", end.status, last_words(&end.stderr)));
        }
        assert!(matches!(end.status.code(), Some(0 | 1)), "engine {engine} ended with {}", end.status);
    }

    /// Engines that nobody ended run. One that says that NATS is not there is started again, as whoever runs engines does; to
    /// end since another engine took something over is no way for an engine to end, nor is a panic.
    pub(crate) fn tend(&mut self, story: &Story) {
        for (number, post) in self.posts.iter_mut().enumerate() {
            let Some(status) = post.engine.has_ended_with() else { continue };
            let said = post.engine.stderr();
            let last = last_words(&said);
            story.say(format!("engine {number} ended by itself with {status}: {last}"));
            assert!(matches!(status.code(), Some(1 | 3)), "engine {number} ended by itself with {status}: {last}");
            assert!(!last.contains("was taken over by"), "engine {number} did not go on beside the others: {last}");
            post.engine.respawn();
        }
    }

    /// What becomes of what an engine sends to one server and hears from it, or to all.
    pub(crate) fn set_doors(&self, engine: usize, server: Option<usize>, passage: Passage) {
        let doors = self.posts[engine].doors.iter().enumerate();
        for (_, door) in doors.filter(|(to, _)| server.is_none_or(|server| server == *to)) {
            door.set(passage);
        }
    }

    /// Of a thousand acknowledgements to an engine so many are lost.
    pub(crate) fn lose_acknowledgements(&self, engine: usize, permille: u64) {
        for door in &self.posts[engine].doors {
            door.lose(permille);
        }
    }

    /// All of them end in peace.
    pub(crate) async fn end(mut self) {
        for engine in 0..self.posts.len() {
            self.terminate(engine).await;
        }
    }
}

fn last_words(stderr: &str) -> &str {
    stderr.lines().last().unwrap_or_default()
}
