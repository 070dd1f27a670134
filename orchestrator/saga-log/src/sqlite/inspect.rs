//! What an SQLite file is on.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

use rustix::fs::statfs;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use super::{MIGRATOR, schema_version};
use crate::{
    inspect::SqliteFacts,
    open::{OpenError, newest, unreachable},
};

/// File systems by their magic numbers (statfs(2)), those where a file's locks or its memory
/// may not be shared, or do not outlive the machine.
const FILE_SYSTEMS: [(u64, &str); 9] = [
    (0x6969, "nfs"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x517b, "smb"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse"),
    (0x0102_1994, "tmpfs"),
    (0x8584_58f6, "ramfs"),
    (0x794c_7630, "overlay"),
];

pub(crate) async fn inspect(path: &Path) -> Result<SqliteFacts, OpenError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let seen = statfs(folder).map_err(io::Error::from).map_err(unreachable)?;
    // Signed, and as wide as the machine's words, or not.
    let magic = u64::from_ne_bytes(seen.f_type.to_ne_bytes()) & 0xffff_ffff;
    let file_system = FILE_SYSTEMS.iter().find(|(it, _)| *it == magic).map(|(_, name)| *name);
    let block = u64::try_from(seen.f_bsize).unwrap_or(0);
    let mode = match fs::metadata(path) {
        Ok(found) => Some(found.permissions().mode() & 0o777),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreachable(error)),
    };
    let schema = match mode {
        None => None,
        Some(_) => {
            // Nothing is locked: an orchestrator may have it open.
            let connect = SqliteConnectOptions::new().filename(path).read_only(true);
            let mut connection = connect.connect().await.map_err(unreachable)?;
            let schema = schema_version(&mut connection).await?;
            connection.close().await.map_err(unreachable)?;
            schema
        }
    };
    Ok(SqliteFacts {
        path: path.to_owned(),
        file_system,
        bytes_free: seen.f_bavail.saturating_mul(block),
        mode,
        schema,
        schema_known: newest(&MIGRATOR),
    })
}
