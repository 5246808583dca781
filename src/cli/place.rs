//! Finds the operator: address, token, state directory.
//!
//! Reads the settings file leniently, because stopping must work with a settings file that is wrong:
//! only `stateDir` is looked at, and a file that cannot be read leaves the default.

use super::Connection;
use super::client::Place;
use super::trouble::Trouble;
use crate::exit::Exit;
use std::path::{Path, PathBuf};
use url::Url;

/// Where the settings are, unless said otherwise.
pub const SETTINGS_DEFAULT: &str = "/etc/heartbreak/heartbreak.yaml";
/// Where state is, unless the settings say otherwise.
pub const STATE_DIR_DEFAULT: &str = "/var/lib/heartbreak";

/// Puts together where the operator is.
///
/// # Errors
///
/// When the URL is none, or when the token file that was named cannot be read.
pub fn find(connection: &Connection, user: Option<String>) -> Result<Place, Trouble> {
    let url = Url::parse(&connection.url)
        .ok()
        .filter(is_operator_address)
        .ok_or_else(|| {
            Trouble::new(
                Exit::Usage,
                // Not repeated here: it may hold a password.
                "--url is not an address like http://127.0.0.1:9480, without user, password and query; nothing was asked",
            )
        })?;
    let state_dir = state_dir(&connection.settings_file());
    let mut place = Place {
        url,
        token: None,
        looked: vec![],
        user: user.filter(|u| is_plain(u)),
        state_dir,
    };
    if let Some(file) = &connection.token_file {
        let token = read_token(file).map_err(|why| {
            Trouble::new(
                Exit::BadInput,
                format!(
                    "the token file {} cannot be used: {why}; nothing was asked",
                    file.display()
                ),
            )
        })?;
        place
            .looked
            .push(format!("{}: its token was sent", file.display()));
        place.token = Some(token);
        return Ok(place);
    }
    let own = place.state_dir.join("token");
    if !place.is_here() {
        // The token of this host's operator is nobody else's business.
        place.looked.push(format!(
            "{}: not sent, {} is another host",
            own.display(),
            place.url
        ));
        return Ok(place);
    }
    match read_token(&own) {
        Ok(token) => {
            place
                .looked
                .push(format!("{}: its token was sent", own.display()));
            place.token = Some(token);
        }
        Err(why) => place.looked.push(format!("{}: {why}", own.display())),
    }
    Ok(place)
}

fn read_token(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("it does not hold one token on one line".into());
    }
    Ok(token.to_owned())
}

/// `stateDir` of the settings file, or the default.
pub fn state_dir(settings: &Path) -> PathBuf {
    std::fs::read_to_string(settings)
        .ok()
        .and_then(|text| serde_saphyr::from_str::<serde_json::Value>(&text).ok())
        .and_then(|value| value.get("stateDir")?.as_str().map(PathBuf::from))
        .filter(|dir| dir.is_absolute())
        .unwrap_or_else(|| PathBuf::from(STATE_DIR_DEFAULT))
}

/// A password in an address would end up in messages and process lists, so it is none.
fn is_operator_address(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
}

fn is_plain(user: &str) -> bool {
    (1..=32).contains(&user.len())
        && user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(dir: &Path, url: &str) -> Connection {
        Connection {
            url: url.into(),
            token_file: None,
            settings: Some(dir.join("heartbreak.yaml")),
        }
    }

    fn host() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        std::fs::create_dir(&state).unwrap();
        std::fs::write(state.join("token"), "secret\n").unwrap();
        let settings = format!(
            "apiVersion: heartbreak/v1\nstateDir: {}\nunknown: [1]\n",
            state.display()
        );
        std::fs::write(dir.path().join("heartbreak.yaml"), settings).unwrap();
        dir
    }

    #[test]
    fn the_own_token_is_used_on_its_own_host() {
        let dir = host();
        let place = find(
            &connection(dir.path(), "http://127.0.0.1:9480"),
            Some("ana".into()),
        )
        .unwrap();
        assert_eq!(place.token.as_deref(), Some("secret"));
        assert_eq!(place.user.as_deref(), Some("ana"));
    }

    #[test]
    fn the_own_token_never_leaves_its_host() {
        let dir = host();
        for url in [
            "http://operator.example:9480",
            "http://127.0.0.1.example",
            "https://10.0.0.1",
        ] {
            let place = find(&connection(dir.path(), url), None).unwrap();
            assert_eq!(place.token, None, "{url}");
            assert!(place.looked[0].contains("not sent"), "{:?}", place.looked);
        }
    }

    #[test]
    fn a_named_token_file_that_cannot_be_read_is_an_error_and_not_a_guess() {
        let dir = host();
        let named = Connection {
            token_file: Some(dir.path().join("none")),
            ..connection(dir.path(), "http://127.0.0.1:9480")
        };
        assert_eq!(find(&named, None).err().unwrap().exit, Exit::BadInput);
    }

    #[test]
    fn settings_that_cannot_be_read_leave_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("s.yaml");
        assert_eq!(state_dir(&file), PathBuf::from(STATE_DIR_DEFAULT));
        std::fs::write(&file, "stateDir: [").unwrap();
        assert_eq!(state_dir(&file), PathBuf::from(STATE_DIR_DEFAULT));
    }

    #[test]
    fn an_address_that_is_none_is_wrong_usage() {
        let dir = host();
        for url in ["localhost:9480", "ftp://x", "", "http://", "http://ana:secret@x"] {
            assert_eq!(
                find(&connection(dir.path(), url), None).err().unwrap().exit,
                Exit::Usage,
                "{url}"
            );
        }
    }
}
