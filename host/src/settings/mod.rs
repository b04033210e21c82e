//! What the operator wants: options typed count most, then the environment, then the configuration file, then defaults.

mod file;
mod value;

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use file::File;
pub use value::{
    ListenAddress, LogFormat, LogLevel, Number, RateSetting, RawPasswordsSetting, Word,
};

use tracing::level_filters::LevelFilter;

use crate::cli::{Common, ServeFromEnvironment};
use crate::failure::Failure;

/// Where the data is kept when nobody says otherwise.
const DATA: &str = "soqet-data";
/// Name of the configuration file that is looked for in the data folder.
const FILE: &str = "soqet.toml";
/// Port of IRC without TLS.
const PORT: u16 = 6667;
/// Connections at once, unless set: plenty for a school or a town, and the file limits of most systems allow it.
const CONNECTIONS: u32 = 10_000;

/// Everything that can be set, settled.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of the data.
    pub data: PathBuf,
    /// Where IRC clients are expected.
    pub irc: Vec<SocketAddr>,
    /// Nobody chose `irc`: where the machine has no IPv6, IPv4 does.
    pub irc_is_default: bool,
    /// How many clients at once.
    pub max_connections: usize,
    /// Nobody chose `max_connections`: fewer need no warning.
    pub max_connections_is_default: bool,
    /// How much to log.
    pub log: LevelFilter,
    /// How to write the log.
    pub log_format: LogFormat,
    /// The rest, as it is in the file.
    pub file: File,
    /// The file that was read.
    pub file_path: Option<PathBuf>,
}

impl Settings {
    /// Settles the options (which hold the environment's values where nothing was typed) with the file.
    pub fn resolve(common: &Common, serve: &ServeFromEnvironment) -> Result<Self, Failure> {
        let data = common.data.as_deref();
        let file_path = common.config.clone().or_else(|| {
            let path = data.unwrap_or(Path::new(DATA)).join(FILE);
            path.exists().then_some(path)
        });
        let file = match &file_path {
            Some(path) => File::read(path)?,
            None => File::default(),
        };
        let chosen = if serve.irc.is_empty() {
            file.irc.as_ref().map(|irc| irc.0.as_slice())
        } else {
            Some(serve.irc.as_slice())
        };
        let irc = match chosen {
            Some([]) => {
                return Err(Failure::new(
                    "irc is an empty list, so nobody could connect\nName an address, such as irc = [\"[::]:6667\"].",
                ));
            }
            Some(addresses) => addresses.iter().map(|address| address.0).collect(),
            None => vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT))],
        };
        let max_connections = serve
            .max_connections
            .or(file.max_connections.map(Number::get));
        Ok(Self {
            data: data
                .or(file.data.as_deref())
                .unwrap_or(Path::new(DATA))
                .to_owned(),
            irc,
            irc_is_default: chosen.is_none(),
            max_connections: max_connections.unwrap_or(CONNECTIONS) as usize,
            max_connections_is_default: max_connections.is_none(),
            log: common
                .log
                .or(file.log)
                .map_or(LevelFilter::INFO, |level| level.0),
            log_format: common.log_format.or(file.log_format).unwrap_or_default(),
            file,
            file_path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn common(data: Option<&Path>, config: Option<&Path>) -> Common {
        Common {
            data: data.map(Path::to_owned),
            config: config.map(Path::to_owned),
            ..Common::default()
        }
    }

    fn ports(settings: &Settings) -> Vec<u16> {
        settings.irc.iter().map(SocketAddr::port).collect()
    }

    #[test]
    fn without_anything_there_are_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings::resolve(&common(Some(folder.path()), None), &Default::default()).unwrap();
        assert_eq!(settings.data, folder.path());
        assert_eq!(ports(&settings), [6667]);
        assert!(settings.irc_is_default && settings.max_connections_is_default);
        assert_eq!(settings.log, LevelFilter::INFO);
        assert_eq!(settings.file_path, None);
    }

    #[test]
    fn the_file_in_the_data_folder_counts_less_than_options() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join(FILE),
            "irc = [\"127.0.0.1:1\"]\nmax-connections = 5\nlog = \"warn\"\nlog-format = \"json\"",
        )
        .unwrap();
        let mut common = common(Some(folder.path()), None);
        let settings = Settings::resolve(&common, &Default::default()).unwrap();
        assert_eq!(ports(&settings), [1]);
        assert_eq!(settings.max_connections, 5);
        assert_eq!(settings.log, LevelFilter::WARN);
        assert_eq!(settings.log_format, LogFormat::Json);
        assert!(!settings.irc_is_default && !settings.max_connections_is_default);

        common.log = Some(LogLevel(LevelFilter::ERROR));
        common.log_format = Some(LogFormat::Text);
        let serve = ServeFromEnvironment {
            irc: vec!["127.0.0.1:2".parse().unwrap()],
            max_connections: Some(6),
        };
        let settings = Settings::resolve(&common, &serve).unwrap();
        assert_eq!(ports(&settings), [2]);
        assert_eq!(settings.max_connections, 6);
        assert_eq!(settings.log, LevelFilter::ERROR);
        assert_eq!(settings.log_format, LogFormat::Text);
    }

    #[test]
    fn a_named_file_may_say_where_the_data_is_from_where_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my.toml");
        std::fs::write(&path, "data = \"kept\"").unwrap();
        let settings = Settings::resolve(&common(None, Some(&path)), &Default::default()).unwrap();
        assert_eq!(settings.data, folder.path().join("kept"));
        let settings = Settings::resolve(
            &common(Some(Path::new("elsewhere")), Some(&path)),
            &Default::default(),
        )
        .unwrap();
        assert_eq!(settings.data, Path::new("elsewhere"));
    }

    #[test]
    fn a_named_file_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.toml");
        let failure =
            Settings::resolve(&common(None, Some(&path)), &Default::default()).unwrap_err();
        assert!(failure.to_string().contains("none.toml"), "{failure}");
    }
}
