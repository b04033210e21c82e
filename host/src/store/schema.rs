//! The tables: readable with the ordinary `sqlite3` tool, which shows the comments below with `.schema`. See docs/store.md.

use rusqlite::Connection;

/// `PRAGMA application_id` of a soQet database: "soQt".
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"soQt");

/// `PRAGMA user_version` that this program writes: how many of [`STEPS`] a database has been through.
pub(super) const VERSION: i32 = STEPS.len() as i32;

/// What brings a database from each version to the next. Only appended to.
const STEPS: [&str; 2] = [TABLES, CONFIG];

/// Version 2.
const CONFIG: &str = "
CREATE TABLE config (
    -- Settings that an owner changed over IRC (CONFIG SET). What soqet.toml says counts more.
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Version 1. Times are Unix milliseconds. `*_folded` columns are lower case (ASCII) and decide what is the same name.
const TABLES: &str = "
CREATE TABLE setting (
    -- What the server must remember of itself. One row.
    id INTEGER PRIMARY KEY CHECK (id = 1),
    secret BLOB NOT NULL,              -- behind the fake salts of unknown accounts
    time_reserved INTEGER NOT NULL     -- no time stamp past this was ever given
) STRICT;

CREATE TABLE account (
    -- Everybody who registered, and the guests who are here.
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL UNIQUE,
    display TEXT NOT NULL,
    titles TEXT NOT NULL,                  -- separated by commas
    flags INTEGER NOT NULL,                -- 1 owner, 2 disabled, 4 guest
    created INTEGER NOT NULL,
    iterations INTEGER NOT NULL,           -- SCRAM-SHA-256 verifier; 0: nobody can log in with a password
    salt BLOB NOT NULL,
    stored_key BLOB NOT NULL,
    server_key BLOB NOT NULL
) STRICT;
CREATE INDEX account_guest ON account (id) WHERE flags & 4;

CREATE TABLE channel (
    -- Rooms (with a name) and direct chats (with two accounts).
    id INTEGER PRIMARY KEY AUTOINCREMENT,    -- never given twice
    name TEXT,
    name_folded TEXT UNIQUE,
    direct_low INTEGER,                      -- the two accounts, lower id first; they may have been removed since
    direct_high INTEGER,
    founder INTEGER NOT NULL,
    created INTEGER NOT NULL,
    topic TEXT NOT NULL DEFAULT '',
    topic_by TEXT NOT NULL DEFAULT '',
    topic_time INTEGER NOT NULL DEFAULT 0,
    modes INTEGER NOT NULL,
    key TEXT NOT NULL DEFAULT '',
    member_limit INTEGER NOT NULL DEFAULT 0, -- 0: none
    members INTEGER NOT NULL DEFAULT 0,      -- how many have joined; kept by triggers
    bans INTEGER NOT NULL DEFAULT 0,         -- how many bans there are; kept by triggers
    first INTEGER NOT NULL DEFAULT 1,        -- seq of the oldest entry still kept
    last INTEGER NOT NULL DEFAULT 0,         -- seq of the newest entry; 0 when there never was one
    last_time INTEGER NOT NULL DEFAULT 0,    -- its time
    last_message INTEGER NOT NULL DEFAULT 0, -- seq of the newest privmsg or notice
    last_message_time INTEGER NOT NULL DEFAULT 0,
    UNIQUE (direct_low, direct_high),
    CHECK ((name IS NULL) = (name_folded IS NULL)),
    CHECK ((direct_low IS NULL) = (direct_high IS NULL)),
    CHECK ((name IS NULL) <> (direct_low IS NULL))
) STRICT;
CREATE INDEX channel_room ON channel (id) WHERE name IS NOT NULL;
CREATE INDEX channel_direct_high ON channel (direct_high) WHERE direct_high IS NOT NULL;

CREATE TABLE member (
    -- Who is in which room, and how far everybody has read (direct chats have rows for that alone).
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    flags INTEGER NOT NULL DEFAULT 0,     -- 1 joined, 2 voice, 4 operator, 8 founder, 16 invited
    read_seq INTEGER NOT NULL DEFAULT 0,  -- read marker
    read_time INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0, -- last seq given to a client that cannot fetch history
    PRIMARY KEY (channel, account)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_account ON member (account, channel);

CREATE TABLE ban (
    -- Who may not join or speak.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    mask TEXT NOT NULL,
    mask_folded TEXT NOT NULL,
    set_by TEXT NOT NULL,
    time INTEGER NOT NULL,
    UNIQUE (channel, mask_folded)
) STRICT;

CREATE TABLE message (
    -- The history of every channel: messages, and what else happened in it.
    id INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL REFERENCES channel (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,    -- place in the channel: 1, 2, 3, ... without a hole
    time INTEGER NOT NULL,   -- never less than that of the entry before
    msgid TEXT NOT NULL,
    kind TEXT NOT NULL,      -- privmsg, notice, tagmsg, join, part, kick, topic, mode or invite
    sender INTEGER NOT NULL, -- account; it may have been removed since
    nick TEXT NOT NULL,      -- its name then
    tags TEXT NOT NULL,      -- client-only tags
    subject TEXT NOT NULL,   -- kick, invite: who; mode: the change
    text TEXT NOT NULL,
    UNIQUE (channel, seq),
    UNIQUE (msgid, channel)  -- in this order new ones are neighbours, whatever their channels
) STRICT;

CREATE TRIGGER member_joined AFTER INSERT ON member WHEN NEW.flags & 1 BEGIN
    UPDATE channel SET members = members + 1 WHERE id = NEW.channel;
END;
CREATE TRIGGER member_changed AFTER UPDATE OF flags ON member WHEN (NEW.flags & 1) <> (OLD.flags & 1) BEGIN
    UPDATE channel SET members = members + (NEW.flags & 1) - (OLD.flags & 1) WHERE id = NEW.channel;
END;
CREATE TRIGGER member_left AFTER DELETE ON member WHEN OLD.flags & 1 BEGIN
    UPDATE channel SET members = members - 1 WHERE id = OLD.channel;
END;
CREATE TRIGGER ban_added AFTER INSERT ON ban BEGIN
    UPDATE channel SET bans = bans + 1 WHERE id = NEW.channel;
END;
CREATE TRIGGER ban_removed AFTER DELETE ON ban BEGIN
    UPDATE channel SET bans = bans - 1 WHERE id = OLD.channel;
END;
";

/// Brings a database from `version` (0: empty) to [`VERSION`], in one transaction.
pub(super) fn upgrade(connection: &Connection, version: i32) -> rusqlite::Result<()> {
    let done = usize::try_from(version).unwrap_or_default();
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    let result = STEPS
        .iter()
        .skip(done)
        .try_for_each(|step| connection.execute_batch(step))
        .and_then(|()| connection.pragma_update(None, "application_id", APPLICATION_ID))
        .and_then(|()| connection.pragma_update(None, "user_version", VERSION))
        .and_then(|()| connection.execute_batch("COMMIT"));
    if result.is_err() && !connection.is_autocommit() {
        // The first error is the one to report.
        let _ = connection.execute_batch("ROLLBACK");
    }
    result
}
