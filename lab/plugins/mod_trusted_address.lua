-- Takes the word of servers at certain addresses for who they are.
-- It stands for a legacy gateway that knows its proxy by address or certificate
-- and does not ask the domain's own server about it.
-- Option: trusted_addresses, a list.
local st = require "util.stanza";
local trusted = module:get_option_set("trusted_addresses", {});

module:hook("stanza/jabber:server:dialback:result", function (event)
	local origin, attr = event.origin, event.stanza.attr;
	if not trusted:contains(origin.ip) or attr.type or not prosody.hosts[attr.to] then return; end
	origin.hosts[attr.from] = {};
	origin.from_host, origin.to_host = origin.from_host or attr.from, origin.to_host or attr.to;
	module:fire_event("s2s-authenticated", { session = origin, host = attr.from, mechanism = "dialback" });
	origin.sends2s(st.stanza("db:result", { from = attr.to, to = attr.from, type = "valid" }));
	return true;
end, 10);
