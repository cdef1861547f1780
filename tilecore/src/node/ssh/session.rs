//! A session with one server: the handshake, and whether the server is the one the user knows.

use std::path::Path;
use std::sync::Arc;

use libssh2_sys as raw;
use ssh2::{ErrorCode, MethodType, Session};

use super::advice;
use super::known_hosts::{KnownHosts, Verdict, algorithm_of, fingerprint, is_revoked};
use super::login::log_in;
use super::options::SshOptions;
use super::target::Target;
use super::wire::Wire;
use crate::error::{Error, Result};

/// Host key algorithms that are acceptable, with the key type each belongs to, best first. Certificates are left out
/// on purpose: libssh2 would negotiate them and then check no signature of an authority.
const HOST_KEYS: [(&str, &str); 6] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "ssh-rsa"),
    ("rsa-sha2-256", "ssh-rsa"),
];

/// With instructions for AES in the processor (every server and desktop of the last ten years) GCM is by far the
/// fastest; nothing older than what OpenSSH still offers by default is offered here.
const CIPHERS: &str = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,\
                       aes128-ctr,aes192-ctr,aes256-ctr";
const MACS: &str = "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512";

/// How long the server may take for each step after the handshake, milliseconds.
const PATIENCE_MS: u32 = 60_000;

/// Makes a session over `wire`, checks that the server is `target`, and logs in. Says which key did it.
pub(super) fn open(wire: &Arc<Wire>, target: &Target, options: &SshOptions) -> Result<(Session, String)> {
    let known = KnownHosts::read(&target.known_hosts);
    let session = handshake(wire, target, &known, options).map_err(|e| match wire.proxy() {
        Some(proxy) => proxy.explain(e, target, options),
        None => e,
    })?;
    verify(&session, target, &known, options)?;
    session.set_timeout(PATIENCE_MS);
    let key = log_in(&session, target, options)?;
    Ok((session, key))
}

fn handshake(wire: &Arc<Wire>, target: &Target, known: &KnownHosts, options: &SshOptions) -> Result<Session> {
    let failed = |e: ssh2::Error| {
        let code = if let ErrorCode::Session(code) = e.code() { code } else { 0 };
        let error = Error::node(format!("{target} cannot be talked to: {}", lower(e.message())));
        match code {
            raw::LIBSSH2_ERROR_TIMEOUT | raw::LIBSSH2_ERROR_SOCKET_TIMEOUT => {
                Error::node(format!("{target} did not answer within {} s", target.timeout.as_secs_f32()))
                    .remedy("Check that the machine is awake and that an SSH server listens there.")
            }
            raw::LIBSSH2_ERROR_KEX_FAILURE | raw::LIBSSH2_ERROR_KEY_EXCHANGE_FAILURE => {
                error.remedy(format!(
                    "Its SSH server may be too old or too strict; compare with `{}`.",
                    advice::command("ssh -v", target, options)
                ))
            }
            _ => error.remedy("Check that an SSH server listens there, and see its log."),
        }
    };
    let mut session = Session::new().map_err(failed)?;
    session.set_timeout(u32::try_from(target.timeout.as_millis()).unwrap_or(u32::MAX).max(1));
    // A server with several keys shows the one asked for first: ask for one that is known.
    let types = known_types(target, known);
    let rank = |key_type: &str| types.iter().position(|t| t == key_type).unwrap_or(usize::MAX);
    let mut algorithms = HOST_KEYS;
    algorithms.sort_by_key(|(_, key_type)| rank(key_type));
    let algorithms = algorithms.map(|(name, _)| name).join(",");
    session.method_pref(MethodType::HostKey, &algorithms).map_err(failed)?;
    for direction in [MethodType::CryptCs, MethodType::CryptSc] {
        session.method_pref(direction, CIPHERS).map_err(failed)?;
    }
    for direction in [MethodType::MacCs, MethodType::MacSc] {
        session.method_pref(direction, MACS).map_err(failed)?;
    }
    session.set_tcp_stream(Arc::clone(wire));
    session.handshake().map_err(failed)?;
    Ok(session)
}

/// The key types by which the target is known.
fn known_types(target: &Target, known: &KnownHosts) -> Vec<String> {
    let mut types = known.algorithms(&target.known_as());
    if types.is_empty() {
        types = known.algorithms(&target.host.to_lowercase());
    }
    types.into_iter().map(str::to_owned).collect()
}

/// Whether the server showed the key that is known for it.
fn verify(session: &Session, target: &Target, known: &KnownHosts, options: &SshOptions) -> Result<()> {
    let name = target.known_as();
    let Some((key, _)) = session.host_key() else {
        return Err(Error::node(format!("{target} showed no host key"))
            .remedy("Check that an SSH server listens there.")
            .fatal());
    };
    for file in &target.revoked {
        if is_revoked(file, key)? {
            return Err(Error::node(format!("the host key of {target} is revoked in {}", file.display()))
                .remedy("Do not use this machine before its owner has given it a new host key.")
                .fatal());
        }
    }
    let mut verdict = known.verdict(&name, key);
    if matches!(verdict, Verdict::Unknown { .. }) && target.key_alias.is_none() && target.port != 22 {
        // As `ssh` does: a key that is known for the host itself will do for another of its ports.
        let portless = known.verdict(&target.host.to_lowercase(), key);
        if matches!(portless, Verdict::Known | Verdict::Revoked(..)) {
            verdict = portless;
        }
    }
    let kind = algorithm_of(key).unwrap_or("unreadable");
    let print = fingerprint(key);
    // It makes OpenSSH show the key and, when told `yes`, remember it.
    let command = format!("{} true", advice::command("ssh", target, options));
    let error = match verdict {
        Verdict::Known => return Ok(()),
        Verdict::Revoked(file, line) => Error::node(format!(
            "the host key of {target} ({kind} {print}) is marked as revoked at {}:{line}",
            file.display()
        ))
        .remedy("Do not use this machine before its owner has given it a new host key."),
        Verdict::Changed(file, line) => Error::node(format!(
            "the host key of {target} has changed: it shows {kind} {print}, another one is known at {}:{line}",
            file.display()
        ))
        .remedy(format!(
            "If you know why (a new installation), remove the old key with `ssh-keygen -f {} -R '{name}'` and \
             connect once with `{command}`; if not, somebody may be in between.",
            advice::quoted(&file.display().to_string())
        )),
        Verdict::OtherType(file, line, other) => Error::node(format!(
            "the host key of {target} is not known: it shows {kind} {print}, known is one of type {other} at {}:{line}",
            file.display()
        ))
        .remedy(format!(
            "Compare the fingerprint with the machine's own, then add the key by connecting once with `{command}`."
        )),
        Verdict::Unknown { authority } => {
            let mut why = String::new();
            if authority {
                why += ", and certificates of an authority are not supported";
            }
            for (file, reason) in &known.unreadable {
                why += &format!(", and {} cannot be read ({reason})", file.display());
            }
            let error = Error::node(format!("the host key of {target} is not known{why}: it shows {kind} {print}"));
            let kept = target.known_hosts.first().is_some_and(|file| file != Path::new("/dev/null"));
            if kept {
                error.remedy(format!(
                    "Compare the fingerprint with the machine's own (`ssh-keygen -lf /etc/ssh/ssh_host_{}_key.pub` \
                     there), then add the key by connecting once with `{command}`.",
                    short(kind)
                ))
            } else {
                error.remedy(format!(
                    "Give `{}` a real UserKnownHostsFile in ~/.ssh/config and connect once with `{command}`; \
                     host keys are always checked.",
                    target.alias
                ))
            }
        }
    };
    Err(error.fatal())
}

/// `ed25519` of `ssh-ed25519`, as in the name of the server's key file.
fn short(kind: &str) -> &str {
    match kind {
        "ssh-ed25519" => "ed25519",
        "ssh-rsa" => "rsa",
        _ => "ecdsa",
    }
}

pub(super) fn lower(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
