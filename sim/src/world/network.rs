//! What joins clients and server. The event loop does not know what that is made of.

use soqet_core::server::Server;

use super::scene::Scene;
use crate::client::Wish;

/// A network between the clients of a scene and its server. Whatever it does it does at `scene.now`.
pub(super) trait Network {
    /// When something happens next that time alone brings.
    fn next_at(&mut self, scene: &Scene) -> Option<u64>;

    /// Whether a client still waits for the connection it wished for.
    fn is_waiting(&self, client: usize) -> bool;

    /// Does what a client wishes of its operating system.
    fn grant(&mut self, scene: &mut Scene, client: usize, wish: Wish);

    /// Takes of what a client has to send as much as its socket takes.
    fn flush(&mut self, scene: &mut Scene, client: usize);

    /// What the server sent arrives at the clients, and what becomes of their connections.
    fn deliver(&mut self, scene: &mut Scene);

    /// A server was started.
    fn start(&mut self, scene: &mut Scene);

    /// The invariant of the core: after a call, storage work, then output, until there is neither.
    fn settle(&mut self, scene: &mut Scene, server: &mut Server<'_>);

    /// What clients sent arrives at the server.
    fn arrive(&mut self, scene: &mut Scene, server: &mut Server<'_>);

    /// Goes on sending where there is room again.
    fn go_on(&mut self, scene: &mut Scene, server: &mut Server<'_>);

    /// Whoever waits to be accepted is.
    fn accept(&mut self, scene: &mut Scene, server: &mut Server<'_>);

    /// Offers the server again what it did not take.
    fn offer(&mut self, scene: &mut Scene, server: &mut Server<'_>);

    /// The server's machine dies.
    fn crash(&mut self, scene: &mut Scene);

    /// Nobody is there to accept anybody.
    fn refuse(&mut self, scene: &mut Scene);

    /// The faults are over.
    fn heal(&mut self, scene: &mut Scene);

    /// Whether nothing is on its way anywhere, and only the clients' own connections are open.
    fn is_quiet(&self, scene: &Scene) -> bool;

    /// What is not quiet, in words.
    fn noise(&self, scene: &Scene) -> String;
}
