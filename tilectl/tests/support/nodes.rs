//! Two nodes behind real SSH servers, each with a home of its own on this machine.

use std::path::PathBuf;

use super::program::World;
use super::sshd::{Home, Sshd, user};

/// Two SSH servers, a home that can log in to both, and a world to run tilectl in.
pub struct Farm {
    /// The servers.
    pub servers: [Sshd; 2],
    /// Who logs in; kept because its directory goes with it.
    pub home: Home,
    /// Where tilectl runs.
    pub world: World,
}

impl Farm {
    /// Starts both.
    pub fn start() -> Self {
        let servers = [Sshd::start(), Sshd::start()];
        let home = Home::for_server(&servers[0]);
        servers[1].allow(&home.ssh("id_ed25519.pub"));
        let known = servers.iter().map(|s| s.known_as("127.0.0.1")).collect::<String>();
        home.write("known_hosts", &known);
        let world = World::with_home(home.path());
        Self { servers, home, world }
    }

    /// The `--node` arguments for both, called a and b, with more options after a comma.
    pub fn nodes(&self, options: &str) -> Vec<String> {
        let spec = |(server, name): (&Sshd, &str)| {
            let place = format!("{}@127.0.0.1:{}", user(), server.port);
            [
                "--node".to_owned(),
                format!("{place},name={name}{}{options}", if options.is_empty() { "" } else { "," }),
            ]
        };
        self.servers.iter().zip(["a", "b"]).flat_map(spec).collect()
    }

    /// Where the servers' homes are: everything that runs there carries one of these in its environment.
    pub fn homes(&self) -> [PathBuf; 2] {
        [self.servers[0].home.clone(), self.servers[1].home.clone()]
    }
}
