-- Asks Vestibule whether HAProxy may forward a request. See haproxy.cfg beside this file.
--
--   http-request lua.vestibule URL
--
-- sets the variable txn.vestibule_leave to true where it may, and the request's headers to what the backend is to be
-- told. Anything else, no answer among it, leaves the variable unset and the request as it was.

-- They are about one connection, or about a body that is not part of the question.
local NOT_ASKED = {
	["connection"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true, ["keep-alive"] = true,
	["proxy-connection"] = true, ["te"] = true, ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true,
}

-- What Vestibule says to the backend: as in its answer, or not at all.
local TOLD = { "authorization", "cookie" }
local TOLD_PREFIX = "^x%-vestibule%-"

-- HAProxy counts the values of a header from 0 in a request and from 1 in an answer of its client.
local function values(header)
	local list = {}
	for _, value in pairs(header) do
		list[#list + 1] = value
	end
	return list
end

local function question(txn)
	local headers = {}
	for name, header in pairs(txn.http:req_get_headers()) do
		if not NOT_ASKED[name] then
			headers[name] = values(header)
		end
	end
	headers["x-forwarded-method"] = { txn.sf:method() }
	headers["x-forwarded-uri"] = { txn.sf:pathq() }
	return headers
end

local function tell_backend(txn, answer)
	for _, name in ipairs(TOLD) do
		txn.http:req_del_header(name)
	end
	for name, header in pairs(answer) do
		name = name:lower()
		if name == "authorization" or name == "cookie" or name:find(TOLD_PREFIX) then
			txn.http:req_del_header(name)
			for _, value in ipairs(values(header)) do
				txn.http:req_add_header(name, value)
			end
		end
	end
end

core.register_action("vestibule", { "http-req" }, function(txn, url)
	local answer = core.httpclient():get({ url = url, headers = question(txn), timeout = 10000 })
	if answer and answer.status == 200 then
		tell_backend(txn, answer.headers)
		txn:set_var("txn.vestibule_leave", true)
	end
end, 1)
