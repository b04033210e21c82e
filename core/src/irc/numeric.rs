//! The numbers of replies and errors this kind of server sends, under their names of modern.ircdocs.horse (MONITOR, WHOX and SASL
//! those of their own specifications). On the wire they have three digits.

/// First reply after login.
pub const RPL_WELCOME: u16 = 1;
/// Server and version.
pub const RPL_YOURHOST: u16 = 2;
/// When the server was started.
pub const RPL_CREATED: u16 = 3;
/// Server, version, user modes, room modes.
pub const RPL_MYINFO: u16 = 4;
/// See [`isupport`](super::isupport).
pub const RPL_ISUPPORT: u16 = 5;
/// Own user modes.
pub const RPL_UMODEIS: u16 = 221;
/// LUSERS: users.
pub const RPL_LUSERCLIENT: u16 = 251;
/// LUSERS: operators.
pub const RPL_LUSEROP: u16 = 252;
/// LUSERS: connections not logged in.
pub const RPL_LUSERUNKNOWN: u16 = 253;
/// LUSERS: rooms.
pub const RPL_LUSERCHANNELS: u16 = 254;
/// LUSERS: clients of this server.
pub const RPL_LUSERME: u16 = 255;
/// Command dropped for now, try later.
pub const RPL_TRYAGAIN: u16 = 263;
/// LUSERS: users here, now and at most.
pub const RPL_LOCALUSERS: u16 = 265;
/// LUSERS: users everywhere, now and at most.
pub const RPL_GLOBALUSERS: u16 = 266;
/// Somebody is away, with text.
pub const RPL_AWAY: u16 = 301;
/// Reply to USERHOST.
pub const RPL_USERHOST: u16 = 302;
/// Reply to ISON.
pub const RPL_ISON: u16 = 303;
/// You are no longer away.
pub const RPL_UNAWAY: u16 = 305;
/// You are away.
pub const RPL_NOWAWAY: u16 = 306;
/// WHOIS: nick, user, host, display name.
pub const RPL_WHOISUSER: u16 = 311;
/// WHOIS: server.
pub const RPL_WHOISSERVER: u16 = 312;
/// WHOIS: is an operator of the server.
pub const RPL_WHOISOPERATOR: u16 = 313;
/// WHO: end.
pub const RPL_ENDOFWHO: u16 = 315;
/// WHOIS: idle seconds and time of login.
pub const RPL_WHOISIDLE: u16 = 317;
/// WHOIS: end.
pub const RPL_ENDOFWHOIS: u16 = 318;
/// WHOIS: rooms.
pub const RPL_WHOISCHANNELS: u16 = 319;
/// WHOIS: any other line; here titles.
pub const RPL_WHOISSPECIAL: u16 = 320;
/// LIST: begin.
pub const RPL_LISTSTART: u16 = 321;
/// LIST: room, members, topic.
pub const RPL_LIST: u16 = 322;
/// LIST: end.
pub const RPL_LISTEND: u16 = 323;
/// Modes of a room.
pub const RPL_CHANNELMODEIS: u16 = 324;
/// When a room was created.
pub const RPL_CREATIONTIME: u16 = 329;
/// WHOIS: account.
pub const RPL_WHOISACCOUNT: u16 = 330;
/// No topic is set.
pub const RPL_NOTOPIC: u16 = 331;
/// Topic.
pub const RPL_TOPIC: u16 = 332;
/// Who set the topic, and when.
pub const RPL_TOPICWHOTIME: u16 = 333;
/// INVITE without parameters: a room.
pub const RPL_INVITELIST: u16 = 336;
/// INVITE without parameters: end.
pub const RPL_ENDOFINVITELIST: u16 = 337;
/// WHOIS: address.
pub const RPL_WHOISACTUALLY: u16 = 338;
/// The invitation is sent.
pub const RPL_INVITING: u16 = 341;
/// Reply to VERSION.
pub const RPL_VERSION: u16 = 351;
/// WHO: one user.
pub const RPL_WHOREPLY: u16 = 352;
/// NAMES: some members.
pub const RPL_NAMREPLY: u16 = 353;
/// WHO with WHOX fields: one user.
pub const RPL_WHOSPCRPL: u16 = 354;
/// NAMES: end.
pub const RPL_ENDOFNAMES: u16 = 366;
/// One ban.
pub const RPL_BANLIST: u16 = 367;
/// End of bans.
pub const RPL_ENDOFBANLIST: u16 = 368;
/// WHOWAS: end.
pub const RPL_ENDOFWHOWAS: u16 = 369;
/// INFO: one line.
pub const RPL_INFO: u16 = 371;
/// MOTD: one line.
pub const RPL_MOTD: u16 = 372;
/// INFO: end.
pub const RPL_ENDOFINFO: u16 = 374;
/// MOTD: begin.
pub const RPL_MOTDSTART: u16 = 375;
/// MOTD: end.
pub const RPL_ENDOFMOTD: u16 = 376;
/// Reply to TIME.
pub const RPL_TIME: u16 = 391;
/// A command failed for a reason without a number of its own.
pub const ERR_UNKNOWNERROR: u16 = 400;
/// No such nick (or room).
pub const ERR_NOSUCHNICK: u16 = 401;
/// No such server.
pub const ERR_NOSUCHSERVER: u16 = 402;
/// No such room.
pub const ERR_NOSUCHCHANNEL: u16 = 403;
/// You cannot speak in this room.
pub const ERR_CANNOTSENDTOCHAN: u16 = 404;
/// You are in too many rooms.
pub const ERR_TOOMANYCHANNELS: u16 = 405;
/// WHOWAS: there was no such nick.
pub const ERR_WASNOSUCHNICK: u16 = 406;
/// Too many targets.
pub const ERR_TOOMANYTARGETS: u16 = 407;
/// PING without parameter.
pub const ERR_NOORIGIN: u16 = 409;
/// Unknown CAP subcommand.
pub const ERR_INVALIDCAPCMD: u16 = 410;
/// Message without target.
pub const ERR_NORECIPIENT: u16 = 411;
/// Message without text.
pub const ERR_NOTEXTTOSEND: u16 = 412;
/// Line too long.
pub const ERR_INPUTTOOLONG: u16 = 417;
/// Unknown command.
pub const ERR_UNKNOWNCOMMAND: u16 = 421;
/// There is no MOTD.
pub const ERR_NOMOTD: u16 = 422;
/// Nicks cannot be changed here.
pub const ERR_NONICKCHANGE: u16 = 447;
/// This user takes no message.
pub const ERR_CANNOTSENDTOUSER: u16 = 531;
/// NICK without parameter.
pub const ERR_NONICKNAMEGIVEN: u16 = 431;
/// This nick is not allowed.
pub const ERR_ERRONEUSNICKNAME: u16 = 432;
/// This nick is somebody else's.
pub const ERR_NICKNAMEINUSE: u16 = 433;
/// They are not in this room.
pub const ERR_USERNOTINCHANNEL: u16 = 441;
/// You are not in this room.
pub const ERR_NOTONCHANNEL: u16 = 442;
/// They are in this room already.
pub const ERR_USERONCHANNEL: u16 = 443;
/// Log in first.
pub const ERR_NOTREGISTERED: u16 = 451;
/// Too few parameters.
pub const ERR_NEEDMOREPARAMS: u16 = 461;
/// You are logged in already.
pub const ERR_ALREADYREGISTERED: u16 = 462;
/// Wrong password.
pub const ERR_PASSWDMISMATCH: u16 = 464;
/// The room has its limit of members.
pub const ERR_CHANNELISFULL: u16 = 471;
/// No such room mode.
pub const ERR_UNKNOWNMODE: u16 = 472;
/// Only who is invited may join.
pub const ERR_INVITEONLYCHAN: u16 = 473;
/// You are banned from this room.
pub const ERR_BANNEDFROMCHAN: u16 = 474;
/// Wrong key.
pub const ERR_BADCHANNELKEY: u16 = 475;
/// This room name is not allowed.
pub const ERR_BADCHANMASK: u16 = 476;
/// The room's list of bans is full.
pub const ERR_BANLISTFULL: u16 = 478;
/// For operators of the server only.
pub const ERR_NOPRIVILEGES: u16 = 481;
/// For operators of the room only.
pub const ERR_CHANOPRIVSNEEDED: u16 = 482;
/// No such user mode.
pub const ERR_UMODEUNKNOWNFLAG: u16 = 501;
/// The modes of others are not yours to change.
pub const ERR_USERSDONTMATCH: u16 = 502;
/// HELP: no such topic.
pub const ERR_HELPNOTFOUND: u16 = 524;
/// This key is not allowed.
pub const ERR_INVALIDKEY: u16 = 525;
/// WHOIS: uses an encrypted connection.
pub const RPL_WHOISSECURE: u16 = 671;
/// This parameter of a mode is missing or not allowed.
pub const ERR_INVALIDMODEPARAM: u16 = 696;
/// HELP: begin.
pub const RPL_HELPSTART: u16 = 704;
/// HELP: one line.
pub const RPL_HELPTXT: u16 = 705;
/// HELP: end.
pub const RPL_ENDOFHELP: u16 = 706;
/// MONITOR: online.
pub const RPL_MONONLINE: u16 = 730;
/// MONITOR: offline.
pub const RPL_MONOFFLINE: u16 = 731;
/// MONITOR: watched names.
pub const RPL_MONLIST: u16 = 732;
/// MONITOR: end of watched names.
pub const RPL_ENDOFMONLIST: u16 = 733;
/// MONITOR: you watch too many.
pub const ERR_MONLISTFULL: u16 = 734;
/// You are logged in as this account.
pub const RPL_LOGGEDIN: u16 = 900;
/// You are logged out.
pub const RPL_LOGGEDOUT: u16 = 901;
/// This account cannot be used.
pub const ERR_NICKLOCKED: u16 = 902;
/// SASL succeeded.
pub const RPL_SASLSUCCESS: u16 = 903;
/// SASL failed.
pub const ERR_SASLFAIL: u16 = 904;
/// SASL message too long.
pub const ERR_SASLTOOLONG: u16 = 905;
/// SASL aborted.
pub const ERR_SASLABORTED: u16 = 906;
/// SASL is done already.
pub const ERR_SASLALREADY: u16 = 907;
/// SASL mechanisms there are.
pub const RPL_SASLMECHS: u16 = 908;
