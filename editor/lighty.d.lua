---@meta _

-- Annotations for lua-language-server: completion, hover texts and checks in editors. Made by
-- "luaserve annotations"; the server does not read this file.

--- What an action call returns: a node of the pipeline.
---@class lighty.Action

--- A test that when runs its actions by.
---@class lighty.Condition

--- A Lua function as an action. It returns nothing, or one of the lighty.HANDLER constants.
---@alias lighty.Handler fun(vr: lighty.vrequest): integer?

--- What may stand where actions are expected: one, a Lua function, or a table of both.
---@alias lighty.Actions lighty.Action|lighty.Handler|(lighty.Action|lighty.Handler|table)[]

--- The pipeline, which a script leaves behind; of a plugin, a table of functions.
---@type lighty.Actions
actions = nil

--- Of a plugin: a table of functions, the setups that it adds.
---@type table<string, function>
setups = nil

--- A table that all handlers of one request share.
---@type table
REQ = {}

--- A variable of conditions. A boolean one is a condition itself.
---@class lighty.Variable
local Variable = {}

--- True when the variable is equal to the value, as text. In lighttpd2's own language: ==
---@param value string|number
---@return lighty.Condition
function Variable:eq(value) end

--- True when the variable is not equal to the value, as text. In lighttpd2's own language: !=
---@param value string|number
---@return lighty.Condition
function Variable:ne(value) end

--- True when the variable begins with the value. In lighttpd2's own language: =^
---@param value string|number
---@return lighty.Condition
function Variable:prefix(value) end

--- True when the variable does not begin with the value. In lighttpd2's own language: !^
---@param value string|number
---@return lighty.Condition
function Variable:notprefix(value) end

--- True when the variable ends with the value. In lighttpd2's own language: =$
---@param value string|number
---@return lighty.Condition
function Variable:suffix(value) end

--- True when the variable does not end with the value. In lighttpd2's own language: !$
---@param value string|number
---@return lighty.Condition
function Variable:notsuffix(value) end

--- True when the variable matches the value, a regular expression (RE2); its groups are %1, %2, … in
--- the actions of the when. In lighttpd2's own language: =~
---@param value string|number
---@return lighty.Condition
function Variable:match(value) end

--- True when the variable does not match the value, a regular expression. In lighttpd2's own language:
--- !~
---@param value string|number
---@return lighty.Condition
function Variable:nomatch(value) end

--- True when the variable is in the network that the value names (CIDR), or is that address. In
--- lighttpd2's own language: =/
---@param value string|number
---@return lighty.Condition
function Variable:ip(value) end

--- True when the variable is not in the network that the value names. In lighttpd2's own language: !/
---@param value string|number
---@return lighty.Condition
function Variable:notip(value) end

--- True when the variable is less than the value, an integer. In lighttpd2's own language: <
---@param value string|number
---@return lighty.Condition
function Variable:lt(value) end

--- True when the variable is at most the value. In lighttpd2's own language: <=
---@param value string|number
---@return lighty.Condition
function Variable:le(value) end

--- True when the variable is greater than the value. In lighttpd2's own language: >
---@param value string|number
---@return lighty.Condition
function Variable:gt(value) end

--- True when the variable is at least the value. In lighttpd2's own language: >=
---@param value string|number
---@return lighty.Condition
function Variable:ge(value) end

--- True when the variable is true, not 0, not empty.
---@return lighty.Condition
function Variable:is() end

--- True when the variable is false, 0 or empty. In lighttpd2's own language: !
---@return lighty.Condition
function Variable:isnot() end

--- Variables for conditions.
---@class lighty.conditions.request
request = {}

--- Address that the client connected to. In a pattern: %{request.localip}
---@type lighty.Variable
request.localip = nil

--- Port that the client connected to. In a pattern: %{request.localport}
---@type lighty.Variable
request.localport = nil

--- Address of the client. In a pattern: %{request.remoteip}
---@type lighty.Variable
request.remoteip = nil

--- Port of the client. In a pattern: %{request.remoteport}
---@type lighty.Variable
request.remoteport = nil

--- Decoded, simplified path of the URL. In a pattern: %{request.path}
---@type lighty.Variable
request.path = nil

--- Path and query as the client sent them. In a pattern: %{request.raw_path}
---@type lighty.Variable
request.raw_path = nil

--- Host name in lower case, without port. In a pattern: %{request.host}
---@type lighty.Variable
request.host = nil

--- "http" or "https". In a pattern: %{request.scheme}
---@type lighty.Variable
request.scheme = nil

--- Query string, not decoded. In a pattern: %{request.query}
---@type lighty.Variable
request.query = nil

--- HTTP method. In a pattern: %{request.method}
---@type lighty.Variable
request.method = nil

--- Length of the request body in bytes. A body of unknown length is read for it. In a pattern:
--- %{request.length}
---@type lighty.Variable
request.length = nil

--- Whether an action has claimed the request. In a pattern: %{request.is_handled}
---@type lighty.Variable
request.is_handled = nil

--- Request header; several fields are joined with ", ", a missing one is "". In a pattern:
--- %{request.header[name]}
---@type table<string, lighty.Variable>
request.header = nil

--- Entry of the (CGI) environment; a missing one is "". In a pattern: %{request.environment[name]}
---@type table<string, lighty.Variable>
request.environment = nil

--- Variables for conditions.
---@class lighty.conditions.physical
physical = {}

--- File that the URL is mapped to. In a pattern: %{physical.path}
---@type lighty.Variable
physical.path = nil

--- Whether that file exists. In a pattern: %{physical.exists}
---@type lighty.Variable
physical.exists = nil

--- Size of the file in bytes, -1 when there is none. In a pattern: %{physical.size}
---@type lighty.Variable
physical.size = nil

--- Whether the file is a directory. In a pattern: %{physical.is_dir}
---@type lighty.Variable
physical.is_dir = nil

--- Whether the file is a regular file. In a pattern: %{physical.is_file}
---@type lighty.Variable
physical.is_file = nil

--- Document root of the request. In a pattern: %{physical.docroot}
---@type lighty.Variable
physical.docroot = nil

--- PATH_INFO: what the URL has behind the file. In a pattern: %{physical.pathinfo}
---@type lighty.Variable
physical.pathinfo = nil

--- Variables for conditions.
---@class lighty.conditions.response
response = {}

--- Status code of the response. In a pattern: %{response.status}
---@type lighty.Variable
response.status = nil

--- Response header, as request.header. In a pattern: %{response.header[name]}
---@type table<string, lighty.Variable>
response.header = nil

--- Makes one condition of a table of conditions: true when every condition holds.
---@param conditions (lighty.Condition|lighty.Variable)[]
---@return lighty.Condition
function all(conditions) end

--- Makes one condition of a table of conditions: true when at least one condition holds.
---@param conditions (lighty.Condition|lighty.Variable)[]
---@return lighty.Condition
function any(conditions) end

--- Makes one condition of a table of conditions: true when no condition holds.
---@param conditions (lighty.Condition|lighty.Variable)[]
---@return lighty.Condition
function none(conditions) end

--- Talks to memcached from Lua.
---@class lighty.memcached
memcached = {}

--- Returns a connection to the server at "host:port", "host" or "unix:/path". It connects when it is
--- first used. All requests and Lua states may share it.
---@param address any
function memcached.new(address) end

--- A connection to a memcached server. Its methods return when the server has answered, a second later
--- at most; other requests use the Lua state meanwhile. So what lighttpd2 calls later, or after
--- HANDLER_WAIT_FOR_EVENT, has happened already; handlers written for that work. Keys are hashed as
--- those of the actions.
---@class lighty.memcached_connection
local memcached_connection = {}

--- Asks for a value and returns a memcached request. A callback is called with the response.
---@param key any
---@param callback_or_vr any
function memcached_connection:get(key, callback_or_vr) end

--- Stores a value for ttl seconds, 300 unless given, 0 for ever, and returns a memcached request. A
--- callback is called with the response.
---@param key any
---@param value any
---@param callback_or_vr any
---@param ttl? any
function memcached_connection:set(key, value, callback_or_vr, ttl) end

--- Does what set does without a response: it returns true, or nil and a message.
---@param key any
---@param value any
---@param ttl? any
function memcached_connection:setq(key, value, ttl) end

--- What a memcached server was asked.
---@class lighty.memcached_request
---@field response table code is 1 (ok), 2 (not stored), 3 (exists), 4 (not found) or 5 (error); error a message, with code 5; key the key; flags, cas (a string of digits) and data what was found; ttl the seconds of a set, and 0 of a get: the server does not tell. (read only)
local memcached_request = {}

--- The request that a Lua function handles.
---@class lighty.vrequest
---@field con lighty.coninfo The connection that the request came on. (read only)
---@field in lighty.chunkqueue The request body; in is a word of Lua, so write vr["in"]. (read only)
---@field out lighty.chunkqueue The response body. (read only)
---@field env lighty.environment The environment that backends are given. (read only)
---@field req lighty.request The head of the request. (read only)
---@field resp lighty.response The head of the response. (read only)
---@field phys lighty.physical The file that the URL is mapped to. (read only)
---@field is_handled boolean Whether an action has claimed the request. (read only)
---@field has_response boolean Whether the head of the response is there. (read only)
local vrequest = {}

--- Writes its arguments to the log as an error.
---@param ... any
function vrequest:print(...) end

--- Writes its arguments to the log as an error.
---@param ... any
function vrequest:error(...) end

--- Writes its arguments to the log as a warning.
---@param ... any
function vrequest:warning(...) end

--- Writes its arguments to the log as an information.
---@param ... any
function vrequest:info(...) end

--- Writes its arguments to the log for debugging.
---@param ... any
function vrequest:debug(...) end

--- Claims the request for an answer that the script gives itself: status, headers, vr.out. Returns
--- false when it was claimed before.
---@return boolean
function vrequest:handle_direct() end

--- Has an action run when the function is done. The function runs again after it if it returns
--- HANDLER_WAIT_FOR_EVENT.
---@param action lighty.Action
function vrequest:enter_action(action) end

--- Looks at a file: st, res, errno, msg = vr:stat(filename). res is HANDLER_GO_ON, or HANDLER_ERROR
--- with a number and a text of the error.
---@param filename string
---@return lighty.struct_stat|nil
---@return integer
---@return integer|nil
---@return string|nil
function vrequest:stat(filename) end

--- Lets the request body run through object:handle(vr, outq, inq) and returns the filter.
---@param object table
---@return lighty.filter
function vrequest:add_filter_in(object) end

--- Lets the response body run through object:handle(vr, outq, inq) and returns the filter.
---@param object table
---@return lighty.filter
function vrequest:add_filter_out(object) end

--- Runs an action on a copy of the request without a body and returns its answer.
---@param action lighty.Action
---@return lighty.subrequest
function vrequest:subrequest(action) end

--- The connection that the request came on.
---@class lighty.coninfo
---@field local string Address that the client connected to, without the port. (read only)
---@field remote string Address of the client, without the port. (read only)
local coninfo = {}

--- The environment that backends are given in addition to the CGI variables. Entries are read and
--- written like those of a table, unless they have the name of a method.
---@class lighty.environment
---@field [string] string?
local environment = {}

--- Returns an entry, nil when there is none.
---@param name string
---@return string|nil
function environment:get(name) end

--- Sets an entry; nil removes it.
---@param name string
---@param value string|nil
function environment:set(name, value) end

--- Removes an entry.
---@param name string
function environment:unset(name) end

--- Sets an entry unless there is one.
---@param name string
---@param value string
function environment:weak_set(name, value) end

--- Iterates over all entries: for name, value in env:pairs() do.
---@return function
function environment:pairs() end

--- Removes all entries.
function environment:clear() end

--- A queue of pieces of a body: bytes, files, and streams that are still coming. #queue is the number
--- of bytes in it once all of it has come.
---@class lighty.chunkqueue
---@field is_closed boolean Whether nothing will be added any more.
---@operator len: integer
local chunkqueue = {}

--- Appends a string or a number; or a file that must be below a directory, add { filename = file, root
--- = directory }.
---@param data string|number|table
function chunkqueue:add(data) end

--- Appends a file, or a part of it in bytes.
---@param filename string
---@param start? integer
---@param length? integer
function chunkqueue:add_file(filename, start, length) end

--- Appends a file, or a part of it, and deletes it.
---@param filename string
---@param start? integer
---@param length? integer
function chunkqueue:add_temp_file(filename, start, length) end

--- Drops everything that is in the queue, also what is still to come of a backend's response.
function chunkqueue:reset() end

--- Does the same as reset.
function chunkqueue:skip_all() end

--- Takes n bytes from the front, waiting for them, and returns them; fewer at the end, nil behind it.
--- Without n it takes everything and returns "" when there is nothing.
---@param n? integer
---@return string|nil
function chunkqueue:read(n) end

--- Takes over what another queue has at this moment. What is still to come, such as the request body or
--- a backend's response, stays there.
---@param from lighty.chunkqueue
function chunkqueue:steal_all(from) end

--- The head of the request.
---@class lighty.request
---@field headers lighty.headers Header fields of the request. A change of Host or Content-Length does not change uri.host or content_length. (read only)
---@field http_method string Method: "GET", "POST", "PROPFIND". (read only)
---@field http_version string Version of the protocol: "HTTP/1.0", "HTTP/1.1", "HTTP/2.0". (read only)
---@field content_length number Length of the body in bytes. A chunked body is received completely to know it. (read only)
---@field uri lighty.request_uri Address of the request, taken apart. (read only)
local request = {}

--- The address of the request. All fields can be written; what is parsed from a written field follows
--- it.
---@class lighty.request_uri
---@field raw string Target as the client sent it, or the result of a rewrite.
---@field raw_path string Path and query, not decoded.
---@field raw_orig_path string raw_path as it was before any rewrite.
---@field scheme string "http" or "https".
---@field authority string Host header, or the authority of an absolute target: user, host and port.
---@field path string Path, decoded and simplified.
---@field query string Query, not decoded, without the "?".
---@field host string Host name without user, port and trailing dots.
local request_uri = {}

--- The head of the response.
---@class lighty.response
---@field headers lighty.headers Header fields of the response. (read only)
---@field status number Status code from 200 to 999; 0 until there is one.
local response = {}

--- The file that the URL is mapped to.
---@class lighty.physical
---@field path string Path of the file.
---@field doc_root string Document root.
---@field pathinfo string What the URL has behind the file.
local physical = {}

--- A list of header fields; order, duplicates and the case of names are kept, and names are compared
--- without case. Fields are read and written like those of a table, unless they have the name of a
--- method.
---@class lighty.headers
---@field [string] string?
local headers = {}

--- Returns the values of all fields of this name, joined with ", "; "" when there is none.
---@param name string
---@return string
function headers:get(name) end

--- Replaces all fields of this name by one; nil removes them.
---@param name string
---@param value string|number|nil
function headers:set(name, value) end

--- Appends ", value" to the last field of this name, or adds one.
---@param name string
---@param value string|number
function headers:append(name, value) end

--- Adds a field at the end.
---@param name string
---@param value string|number
function headers:insert(name, value) end

--- Removes all fields of this name.
---@param name string
function headers:unset(name) end

--- Iterates over all fields: for name, value in headers:pairs() do.
---@return function
function headers:pairs() end

--- Iterates over all fields of this name.
---@param name string
---@return function
function headers:list(name) end

--- Removes all fields.
function headers:clear() end

--- A filter that was added to the request.
---@class lighty.filter
---@field in lighty.chunkqueue What came to the filter and was not taken yet; in is a word of Lua, so write filter["in"]. (read only)
---@field out lighty.chunkqueue What leaves the filter. (read only)
local filter = {}

--- What the file system knows about a file; symbolic links are followed.
---@class lighty.struct_stat
---@field is_file boolean Whether it is a regular file. (read only)
---@field is_dir boolean Whether it is a directory. (read only)
---@field is_char boolean Whether it is a character device. (read only)
---@field is_block boolean Whether it is a block device. (read only)
---@field is_socket boolean Whether it is a socket. (read only)
---@field is_link boolean Whether it is a symbolic link; they are followed, so never. (read only)
---@field is_fifo boolean Whether it is a named pipe. (read only)
---@field mode number Type and permissions. (read only)
---@field mtime number Time of the last change of the content, in seconds since 1970. (read only)
---@field ctime number Time of the last change of the inode. (read only)
---@field atime number Time of the last access. (read only)
---@field uid number User that owns it. (read only)
---@field gid number Group that owns it. (read only)
---@field size number Size in bytes. (read only)
---@field ino number Number of the inode. (read only)
---@field dev number Device that it is on. (read only)
local struct_stat = {}

--- The answer of an action that was run on a copy of the request.
---@class lighty.subrequest
---@field status number Status code of the answer. (read only)
---@field headers lighty.headers Header fields of the answer. (read only)
---@field body string Body of the answer. It is read when it is first asked for; an incomplete one is an error. (read only)
local subrequest = {}

--- Functions and constants that need no request.
---@class lighty.lighty
---@field HANDLER_GO_ON number A handler returns it, or nothing, when it is done. (read only)
---@field HANDLER_COMEBACK number A handler returns it to be run again after the actions that it entered. (read only)
---@field HANDLER_WAIT_FOR_EVENT number A handler returns it to be run again when what it waits for is there. (read only)
---@field HANDLER_ERROR number A handler returns it to end the request with an error. (read only)
---@field null lighty.null Stands for JSON's null. It counts as true; compare with it. (read only)
lighty = {}

--- Writes its arguments to the log as an error; the global print does the same.
---@param ... any
function lighty.print(...) end

--- Writes its arguments to the log as an error. A plugin that refuses arguments says why with it.
---@param ... any
function lighty.error(...) end

--- Writes its arguments to the log as a warning.
---@param ... any
function lighty.warning(...) end

--- Writes its arguments to the log as an information.
---@param ... any
function lighty.info(...) end

--- Writes its arguments to the log for debugging.
---@param ... any
function lighty.debug(...) end

--- Makes an action that lets the request body run through class:new(vr).
---@param class table
---@return lighty.Action
function lighty.filter_in(class) end

--- Makes an action that lets the response body run through class:new(vr).
---@param class table
---@return lighty.Action
function lighty.filter_out(class) end

--- Returns the MD5 of a string in hexadecimal digits.
---@param s string
---@return string
function lighty.md5(s) end

--- Returns the SHA-1 of a string in hexadecimal digits.
---@param s string
---@return string
function lighty.sha1(s) end

--- Returns the SHA-256 of a string in hexadecimal digits.
---@param s string
---@return string
function lighty.sha256(s) end

--- Returns the HMAC of a string in hexadecimal digits; algorithm is "md5", "sha1", "sha256", "sha384"
--- or "sha512".
---@param algorithm string
---@param key string
---@param s string
---@return string
function lighty.hmac(algorithm, key, s) end

--- Compares two strings in a time that does not tell where they differ: for signatures and passwords.
---@param a string
---@param b string
---@return boolean
function lighty.equal(a, b) end

--- Resolves ".", ".." and empty segments; the result begins with "/".
---@param path string
---@return string
function lighty.path_simplify(path) end

--- Encodes a string in base64; with url true in the alphabet for URLs, without padding.
---@param s string
---@param url? boolean
---@return string
function lighty.base64_encode(s, url) end

--- Decodes base64 of either alphabet, with or without padding; nil and a message when it is none.
---@param s string
---@return string|nil
---@return string|nil
function lighty.base64_decode(s) end

--- Encodes a string in hexadecimal digits.
---@param s string
---@return string
function lighty.hex_encode(s) end

--- Decodes hexadecimal digits; nil and a message when they are none.
---@param s string
---@return string|nil
---@return string|nil
function lighty.hex_decode(s) end

--- Percent-encodes everything but letters, digits and "-._~".
---@param s string
---@return string
function lighty.url_encode(s) end

--- Decodes percent escapes, and "+" to a space; nil and a message for an incomplete escape.
---@param s string
---@return string|nil
---@return string|nil
function lighty.url_decode(s) end

--- Encodes a value as JSON. A table with the keys 1 to n is an array, one with strings as keys an
--- object; an empty one is an object unless json_array marked it.
---@param value any
---@return string
function lighty.json_encode(value) end

--- Decodes JSON, null as lighty.null; nil and a message when it is none.
---@param s string
---@return any
---@return string|nil
function lighty.json_decode(s) end

--- Marks a table as an array, so that it is encoded as [] when it is empty, and returns it.
---@param table? table
---@return table
function lighty.json_array(table) end

--- Returns the seconds since 1970 with their fraction.
---@return number
function lighty.time() end

--- JSON's null, see lighty.null.
---@class lighty.null
local null = {}

---@class lighty.options.setup.listen
---@field address? string "127.0.0.1:8080", "[::1]:8080", "unix:/path" or "systemd:name"
---@field mode? string who may connect to a unix socket, in octal digits: "0660"; by default that is up to the umask
---@field owner? string|integer name or number of the user who owns it
---@field group? string|integer name or number of its group

---@class lighty.options.setup.limits
---@field header_bytes? integer length of a whole request head in bytes; beyond it the answer is 431. Over HTTP/2 each field counts 32 bytes more (RFC 9113, 10.5.1); far beyond the limit the connection ends (default: 65536)
---@field header_count? integer number of header fields; beyond it the answer is 431 (default: 100)
---@field target_bytes? integer length of the request target, path and query, in bytes; beyond it the answer is 414 (default: 8192)
---@field body_bytes? integer length of a request body in bytes; beyond it the answer is 413. A body without a Content-Length is cut off there, which an application sees as a broken upload if it has it already (default: 10737418240)
---@field body_rate? integer bytes a second that a request body must have on average, not counting the first body_timeout, and time in which nobody reads; a slower one ends as if it had stopped (default: 100)
---@field connections? integer number of connections at a time, over all listeners; by default there is no limit. Those beyond it are answered with 503 and closed; with TLS they are closed at once. The log tells once a minute at most
---@field connections_per_ip? integer number of connections at a time of one address, with IPv6 of one network of 64 bits; by default there is no limit. Behind a load balancer that `proxy_protocol.trust` names, the client's address counts
---@field header_timeout? number seconds for a whole request head; then the answer is 408. It has no effect on HTTP/2, where a client that does not end a head is cut off behind 45 seconds (default: 20)
---@field body_timeout? number seconds for the next bytes of a request body while somebody reads it; then the answer is 408, or what the application makes of a broken upload (default: 60)
---@field write_timeout? number seconds without progress in sending an answer; then the connection is cut (default: 60)
---@field idle_timeout? number seconds that a connection waits for its next request; then it is closed. `keepalive.timeout` wins over it, for HTTP/1 (default: 75)

---@class lighty.options.action.deflate
---@field encodings? string|string[] names separated by commas, or a list; "bzip2" is accepted and never chosen: no browser reads it (default: "zstd,br,gzip,deflate")
---@field compression_level? integer 1 (fast) to 9 (small) (default: 1)
---@field min_size? integer bytes below which an answer of known length stays as it is (default: 256)
---@field mime_types? string[] a list of types to compress, "text/*" for all that begin alike; by default all but images, video and what else is compressed by nature
---@field blocksize? integer accepted without an effect: buffers have a fixed size
---@field output_buffer? integer accepted without an effect: buffers have a fixed size

---@class lighty.options.action.dirlist
---@field sort? string "name", "modified", "size" or "type", until the reader chooses (default: "name")
---@field css? string URL of a style sheet in place of the built-in style
---@field hide_dotfiles? boolean whether to leave out names that begin with a dot (default: true)
---@field hide_tildefiles? boolean whether to leave out names that end with a tilde (default: true)
---@field hide_directories? boolean whether to leave out directories (default: false)
---@field include_header? boolean whether to show HEADER.txt above the list, up to 64 KiB (default: false)
---@field hide_header? boolean whether to leave HEADER.txt out of the list (default: false)
---@field encode_header? boolean whether HEADER.txt is text; set it to false for HTML whose authors you trust (default: true)
---@field include_readme? boolean whether to show README.txt below the list, up to 64 KiB (default: true)
---@field hide_readme? boolean whether to leave README.txt out of the list (default: false)
---@field encode_readme? boolean whether README.txt is text; set it to false for HTML whose authors you trust (default: true)
---@field exclude_suffix? string[] entries that end so are left out
---@field exclude_prefix? string[] entries that begin so are left out
---@field content_type? string Content-Type of the page (default: "text/html; charset=utf-8")
---@field max_entries? integer how many entries of a directory are looked at (default: 10000)
---@field debug? boolean whether to log each list (default: false)

---@class lighty.options.action.userdir
---@field exclude? string[] users to leave alone
---@field include? string[] leave all alone but these

---@class lighty.options.action.access.check
---@field allow? string[] networks that may go on; "all" is any address
---@field deny? string[] networks that may not; "all" is any address

---@class lighty.options.action.auth.plain
---@field method? string "basic" or "digest"
---@field realm? string what the browser shows
---@field file? string the file of the users
---@field ttl? number after how many seconds the file is read again; 0 is never (default: 10)

---@class lighty.options.action.auth.htpasswd
---@field method? string "basic" or "digest"
---@field realm? string what the browser shows
---@field file? string the file of the users
---@field ttl? number after how many seconds the file is read again; 0 is never (default: 10)

---@class lighty.options.action.auth.htdigest
---@field method? string "basic" or "digest"
---@field realm? string what the browser shows
---@field file? string the file of the users
---@field ttl? number after how many seconds the file is read again; 0 is never (default: 10)

---@class lighty.options.setup.openssl.pemfile
---@field cert? string the certificate
---@field key? string the key of the certificate
---@field ocsp? string an OCSP response for the certificate, DER or PEM

---@class lighty.options.setup.openssl
---@field listen? string|string[]|table|table[] an address, a table or a list of these, as for the setup `listen`; may be given several times
---@field pemfile? string|string[]|lighty.options.setup.openssl.pemfile|lighty.options.setup.openssl.pemfile[] a file with certificate, intermediate certificates and key, or a table; a list of these, or several pemfile: the first is for clients that name no host or an unknown one, the others for the names in them, wildcards included
---@field ca_file? string a file with intermediate certificates, for certificates that come without theirs
---@field ciphers? string cipher suites of TLS 1.2 in OpenSSL's notation, of those that crypto/tls has; those of TLS 1.3 are fixed, and the order is crypto/tls's
---@field dh_params? any accepted without an effect: crypto/tls has no key exchange with such parameters
---@field ecdh_curve? string the one curve for the key exchange: prime256v1, secp384r1, secp521r1 or X25519
---@field options? string|string[] a list of OpenSSL's options: NO_TICKET, NO_TLSv1_2, NO_TLSv1_3, and TLSv1 or TLSv1_1 for old clients; others are accepted without an effect
---@field verify? boolean whether clients are asked for a certificate; one that is given must be good (default: false)
---@field verify_any? boolean whether any certificate will do, also self-signed ones, so that only scripts and applications look at it (default: false)
---@field verify_depth? integer how many intermediate certificates a client's may have (default: 1)
---@field verify_require? boolean whether a client must give a certificate (default: false)
---@field client_ca_file? string a file with the CA certificates that clients' certificates are verified with

---@class lighty.options.setup.gnutls.pemfile
---@field cert? string the certificate
---@field key? string the key of the certificate
---@field ocsp? string an OCSP response for the certificate, DER or PEM

---@class lighty.options.setup.gnutls.sni_fallback_pemfile
---@field cert? string the certificate
---@field key? string the key of the certificate
---@field ocsp? string an OCSP response for the certificate, DER or PEM

---@class lighty.options.setup.gnutls
---@field listen? string|string[]|table|table[] an address, a table or a list of these, as for the setup `listen`; may be given several times
---@field pemfile? string|string[]|lighty.options.setup.gnutls.pemfile|lighty.options.setup.gnutls.pemfile[] a file with certificate, intermediate certificates, key and, if wanted, an OCSP response, or a table; a list of these, or several pemfile: the first is for clients that name no host or an unknown one, the others for the names in them, wildcards included
---@field pin? string not to be had: write keys without a password
---@field priority? string a GnuTLS priority string: NORMAL, PFS, PERFORMANCE, SECURE or SECURE128, and which versions are spoken (-VERS-TLS1.2); what crypto/tls cannot leave out is an error
---@field dh_params? any accepted without an effect: crypto/tls has no key exchange with such parameters
---@field protect_against_beast? any accepted without an effect: TLS 1.2 and later do not need protection against BEAST
---@field session_db_size? any accepted without an effect: sessions are resumed with tickets, for which the server stores nothing
---@field sni_backend? string the name of fetch.files_static: its files are for the server names that their star stands for, before all pemfile
---@field sni_fallback_pemfile? string|lighty.options.setup.gnutls.sni_fallback_pemfile as pemfile, for clients that name an unknown host

---@class lighty.options.action.memcached.lookup
---@field server? string "host:port", "host" or "unix:/path" (default: "127.0.0.1:11211")
---@field key? string pattern of the key; one that is longer than 250 bytes or has others than 0x21 to 0x7e in it is replaced by its SHA-1 (default: "%{req.path}")
---@field ttl? integer seconds until it is forgotten; 0 is never (default: 30)
---@field maxsize? integer bytes above which a body is not stored, and a value is a miss (default: 1048576)
---@field flags? integer a number that is stored with it (default: 0)
---@field headers? boolean false: headers cannot be stored

---@class lighty.options.action.memcached.store
---@field server? string "host:port", "host" or "unix:/path" (default: "127.0.0.1:11211")
---@field key? string pattern of the key; one that is longer than 250 bytes or has others than 0x21 to 0x7e in it is replaced by its SHA-1 (default: "%{req.path}")
---@field ttl? integer seconds until it is forgotten; 0 is never (default: 30)
---@field maxsize? integer bytes above which a body is not stored, and a value is a miss (default: 65536)
---@field flags? integer a number that is stored with it (default: 0)
---@field headers? boolean false: headers cannot be stored

---@class lighty.options.action.fastcgi
---@field socket? string "unix:/path" or "host:port"
---@field connect_timeout? number seconds that connecting may take (default: 5)
---@field send_timeout? number seconds in which the backend must take the next bytes (default: 60)
---@field read_timeout? number seconds in which the backend must give the next bytes (default: 60)
---@field keep_alive? boolean whether connections are kept for later requests (default: true)
---@field idle_connections? integer how many connections are kept open (default: 256)
---@field idle_time? number seconds that a connection is kept open without a request (default: 30)
---@field max_head_bytes? integer limit of a response head (default: 65536)
---@field environment? table<string, string> names and patterns: variables beside those of CGI, or in place of them

---@class lighty.options.action.fastcgi.authorize
---@field socket? string "unix:/path" or "host:port"
---@field connect_timeout? number seconds that connecting may take (default: 5)
---@field send_timeout? number seconds in which the backend must take the next bytes (default: 60)
---@field read_timeout? number seconds in which the backend must give the next bytes (default: 60)
---@field keep_alive? boolean whether connections are kept for later requests (default: true)
---@field idle_connections? integer how many connections are kept open (default: 256)
---@field idle_time? number seconds that a connection is kept open without a request (default: 30)
---@field max_head_bytes? integer limit of a response head (default: 65536)
---@field environment? table<string, string> names and patterns: variables beside those of CGI, or in place of them

---@class lighty.options.action.scgi
---@field socket? string "unix:/path" or "host:port"
---@field connect_timeout? number seconds that connecting may take (default: 5)
---@field send_timeout? number seconds in which the backend must take the next bytes (default: 60)
---@field read_timeout? number seconds in which the backend must give the next bytes (default: 60)
---@field keep_alive? boolean whether connections are kept for later requests (default: true)
---@field idle_connections? integer how many connections are kept open (default: 256)
---@field idle_time? number seconds that a connection is kept open without a request (default: 30)
---@field max_head_bytes? integer limit of a response head (default: 65536)
---@field environment? table<string, string> names and patterns: variables beside those of CGI, or in place of them

---@class lighty.options.action.cgi
---@field program? string|string[] absolute path of the program, or a list of it and its arguments
---@field timeout? number seconds that it may neither answer nor take the request body, and that it may go on when its answer is complete (default: 60)
---@field max_processes? integer how many programs of this action may run at once (default: 64)
---@field max_head_bytes? integer length of the response head in bytes; a longer one is a 502 (default: 65536)
---@field max_output_bytes? integer length of the response body in bytes; 0 is no limit (default: 0)
---@field max_stderr_bytes? integer how many bytes of stderr are logged for a request (default: 65536)
---@field dir? string working directory, an absolute path
---@field pass_env? string[] names of variables that it gets from the server's environment
---@field environment? table<string, string> names and patterns: variables beside those of CGI, or in place of them

---@class lighty.options.action.proxy
---@field socket? string "unix:/path" or "host:port"
---@field connect_timeout? number seconds that connecting may take (default: 5)
---@field send_timeout? number seconds in which the backend must take the next bytes (default: 60)
---@field read_timeout? number seconds in which the backend must give the next bytes (default: 60)
---@field keep_alive? boolean whether connections are kept for later requests (default: true)
---@field idle_connections? integer how many connections are kept open (default: 256)
---@field idle_time? number seconds that a connection is kept open without a request (default: 30)
---@field max_head_bytes? integer limit of a response head (default: 65536)
---@field upgrade? string[] the protocols that a client may go over to (default: { "websocket" })

---@class lighty.options.action.balance.rr.backends
---@field action? lighty.Actions an action
---@field name? string what the log, status.info and balance.hash know it by; by default the address
---@field weight? integer its share of the requests, from 1 to 100 (default: 1)

---@class lighty.options.action.balance.rr.check
---@field path? string the actions get a GET request for it, and what the script does before the balancer is not done for that; an answer with a status from 200 to 399 is good. Without a path it is enough that the backend takes a connection
---@field host? string the Host of the request that checks (default: "localhost")
---@field interval? number seconds between two checks (default: 5)
---@field timeout? number seconds that a check may take (default: 2)
---@field fall? integer after so many bad checks in a row the backend is down and gets no requests (default: 3)
---@field rise? integer after so many good checks in a row the backend is up (default: 2)

---@class lighty.options.action.balance.rr
---@field backends? lighty.Actions|lighty.options.action.balance.rr.backends[] an action, or a list with an action or a table for each backend
---@field tries? integer how many backends may begin to work on a request (default: 3)
---@field backlog? integer how many requests may wait (default: 1000)
---@field wait? number seconds that a request may wait; with 0 none waits (default: 10)
---@field max_in_flight? integer how many requests a backend gets at once; 0 is any number. A request is in progress until its answer has been sent (default: 0)
---@field fails? integer how many failures in a row leave a backend out (default: 3)
---@field pause? number seconds that a backend is left out at first (default: 1)
---@field max_pause? number seconds that a backend is left out at most (default: 8)
---@field check? lighty.options.action.balance.rr.check has each backend checked by itself, from when the server begins to serve

---@class lighty.options.action.balance.sqf.backends
---@field action? lighty.Actions an action
---@field name? string what the log, status.info and balance.hash know it by; by default the address
---@field weight? integer its share of the requests, from 1 to 100 (default: 1)

---@class lighty.options.action.balance.sqf.check
---@field path? string the actions get a GET request for it, and what the script does before the balancer is not done for that; an answer with a status from 200 to 399 is good. Without a path it is enough that the backend takes a connection
---@field host? string the Host of the request that checks (default: "localhost")
---@field interval? number seconds between two checks (default: 5)
---@field timeout? number seconds that a check may take (default: 2)
---@field fall? integer after so many bad checks in a row the backend is down and gets no requests (default: 3)
---@field rise? integer after so many good checks in a row the backend is up (default: 2)

---@class lighty.options.action.balance.sqf
---@field backends? lighty.Actions|lighty.options.action.balance.sqf.backends[] an action, or a list with an action or a table for each backend
---@field tries? integer how many backends may begin to work on a request (default: 3)
---@field backlog? integer how many requests may wait (default: 1000)
---@field wait? number seconds that a request may wait; with 0 none waits (default: 10)
---@field max_in_flight? integer how many requests a backend gets at once; 0 is any number. A request is in progress until its answer has been sent (default: 0)
---@field fails? integer how many failures in a row leave a backend out (default: 3)
---@field pause? number seconds that a backend is left out at first (default: 1)
---@field max_pause? number seconds that a backend is left out at most (default: 8)
---@field check? lighty.options.action.balance.sqf.check has each backend checked by itself, from when the server begins to serve

---@class lighty.options.action.balance.least_time.backends
---@field action? lighty.Actions an action
---@field name? string what the log, status.info and balance.hash know it by; by default the address
---@field weight? integer its share of the requests, from 1 to 100 (default: 1)

---@class lighty.options.action.balance.least_time.check
---@field path? string the actions get a GET request for it, and what the script does before the balancer is not done for that; an answer with a status from 200 to 399 is good. Without a path it is enough that the backend takes a connection
---@field host? string the Host of the request that checks (default: "localhost")
---@field interval? number seconds between two checks (default: 5)
---@field timeout? number seconds that a check may take (default: 2)
---@field fall? integer after so many bad checks in a row the backend is down and gets no requests (default: 3)
---@field rise? integer after so many good checks in a row the backend is up (default: 2)

---@class lighty.options.action.balance.least_time
---@field backends? lighty.Actions|lighty.options.action.balance.least_time.backends[] an action, or a list with an action or a table for each backend
---@field tries? integer how many backends may begin to work on a request (default: 3)
---@field backlog? integer how many requests may wait (default: 1000)
---@field wait? number seconds that a request may wait; with 0 none waits (default: 10)
---@field max_in_flight? integer how many requests a backend gets at once; 0 is any number. A request is in progress until its answer has been sent (default: 0)
---@field fails? integer how many failures in a row leave a backend out (default: 3)
---@field pause? number seconds that a backend is left out at first (default: 1)
---@field max_pause? number seconds that a backend is left out at most (default: 8)
---@field check? lighty.options.action.balance.least_time.check has each backend checked by itself, from when the server begins to serve

---@class lighty.options.action.balance.hash.backends
---@field action? lighty.Actions an action
---@field name? string what the log, status.info and balance.hash know it by; by default the address
---@field weight? integer its share of the requests, from 1 to 100 (default: 1)

---@class lighty.options.action.balance.hash.check
---@field path? string the actions get a GET request for it, and what the script does before the balancer is not done for that; an answer with a status from 200 to 399 is good. Without a path it is enough that the backend takes a connection
---@field host? string the Host of the request that checks (default: "localhost")
---@field interval? number seconds between two checks (default: 5)
---@field timeout? number seconds that a check may take (default: 2)
---@field fall? integer after so many bad checks in a row the backend is down and gets no requests (default: 3)
---@field rise? integer after so many good checks in a row the backend is up (default: 2)

---@class lighty.options.action.balance.hash
---@field backends? lighty.Actions|lighty.options.action.balance.hash.backends[] an action, or a list with an action or a table for each backend
---@field tries? integer how many backends may begin to work on a request (default: 3)
---@field backlog? integer how many requests may wait (default: 1000)
---@field wait? number seconds that a request may wait; with 0 none waits (default: 10)
---@field max_in_flight? integer how many requests a backend gets at once; 0 is any number. A request is in progress until its answer has been sent (default: 0)
---@field fails? integer how many failures in a row leave a backend out (default: 3)
---@field pause? number seconds that a backend is left out at first (default: 1)
---@field max_pause? number seconds that a backend is left out at most (default: 8)
---@field check? lighty.options.action.balance.hash.check has each backend checked by itself, from when the server begins to serve

---@class lighty.options.setup.lua.sandbox
---@field allow? string|string[] a list of names that the level refuses and the code may use

---@class lighty.options.action.lua.handler
---@field ttl? integer seconds after which a changed file is loaded again; by default never
---@field sandbox? string what the code of the file may do: "trusted", "handler" (the default) or "untrusted"
---@field root? string the directory that an untrusted file is confined to
---@field allow? string|string[] a list of names that the level refuses and the code may use

--- Actions make up the pipeline.
---@class lighty.action
action = {}

--- Runs actions one after another. A plain table of actions does the same.
---
--- ```lua
--- actions = list { header.add("X-A", "1"), respond "hello" }
--- ```
---@param actions? lighty.Actions actions, Lua functions or tables of them
---@param ... any
---@return lighty.Action
function action.list(actions, ...) end

--- Runs one action when a condition holds and another when it does not.
---
--- ```lua
--- actions = when(request.path:prefix "/old", { respond(410) }, { respond "new" })
--- ```
---@param condition lighty.Condition|lighty.Variable a condition, or a boolean variable such as physical.is_file
---@param then_? lighty.Actions
---@param else_? lighty.Actions
---@return lighty.Action
function action.when(condition, then_, else_) end

--- Runs the action whose key is equal to the value of a pattern.
---
--- ```lua
--- actions = map("%{req.query}", { a = respond "A", default = respond(404) })
--- ```
---@param pattern string
---@param actions table key or list of keys to action; "default" is for everything else
---@return lighty.Action
function action.map(pattern, actions) end

--- Runs the action of the most specific network that the client's address is in.
---
--- ```lua
--- actions = map_cidr { ["10.0.0.0/8"] = respond "inside", all = respond(403) }
--- ```
---@param actions table network or list of networks to action; "all" and "default" match every client
---@param ... any
---@return lighty.Action
function action.map_cidr(actions, ...) end

---@class lighty.action.io
action.io = {}

--- Limits the memory for a response that waits for the client. Accepted without an effect: a response
--- is read as the client takes it, so there is no queue whose size could be limited.
---
--- ```lua
--- actions = { action.io.buffer_out(65536), respond "ok" }
--- ```
---@param limit number bytes
---@return lighty.Action
function action.io.buffer_out(limit) end

--- Limits the memory for a request body that waits for the application. Accepted without an effect: a
--- request body is read as the application takes it, so there is no queue whose size could be limited.
---
--- ```lua
--- actions = { action.io.buffer_in(65536), respond "ok" }
--- ```
---@param limit number bytes
---@return lighty.Action
function action.io.buffer_in(limit) end

--- Limits this response: io.throttle(rate), or as in lighttpd2 the burst first, io.throttle(burst,
--- rate). The burst is what may go at once in the beginning, in bytes; it is twice the rate unless
--- given. The last io.throttle of a request counts; io.throttle(0) ends the limit. A limit begins anew
--- with each request of a connection.
---
--- ```lua
--- actions = { when(request.path:suffix ".flv", action.io.throttle(500000, 150000)), docroot "/var/www", static() }
--- ```
---@param rate number bytes in a second, from 8 KiB to 512 MiB; the burst when there are two numbers
---@param rate_behind_a_burst? number bytes in a second
---@return lighty.Action
function action.io.throttle(rate, rate_behind_a_burst) end

--- Limits all responses together that pass this action. Used in two places, an action that was made
--- once is one pool.
---
--- ```lua
--- local downloads = action.io.throttle_pool(1048576)
--- actions = { when(request.path:prefix "/iso/", downloads), when(request.path:prefix "/deb/", downloads), respond "ok" }
--- ```
---@param rate number bytes in a second, from 8 KiB to 512 MiB
---@return lighty.Action
function action.io.throttle_pool(rate) end

--- Limits all responses together that pass this action and go to one address, of IPv6 to one /56
--- network. Clients on a unix socket are not limited.
---
--- ```lua
--- actions = { action.io.throttle_ip(204800), respond "ok" }
--- ```
---@param rate number bytes in a second, from 8 KiB to 512 MiB
---@return lighty.Action
function action.io.throttle_ip(rate) end

--- Where the messages about requests go, by their level: debug, info, warning, error, backend (what
--- applications write to stderr), and default for all others (also written "*"); abort is accepted,
--- there are no such messages. A target is a file, to which is appended ("file:/path" or a path),
--- "stderr" for the server's own log, or "" to drop them. A file gets the levels that name it, whatever
--- the level of the server's own log; what is not named goes there. Files are opened when the script is
--- loaded, and again when it is loaded again, as after a rotation. What is no matter of a request, like
--- a failed reload, always goes to the server's own log. Pipes and syslog are refused: let a service
--- manager take stderr.
---
--- ```lua
--- setup.log { error = "error.log", backend = "backend.log", default = "stderr" }
--- ```
---@class lighty.action.log
---@overload fun(value: table, ...: any): lighty.Action
action.log = {}

--- Writes a message to the log.
---
--- ```lua
--- actions = { log.write "%{req.remoteip} wants %{req.path}", respond "ok" }
--- ```
---@param message string
---@return lighty.Action
function action.log.write(message) end

--- Sets the document root and maps the URL below it. Of several, the first that exists is taken, or
--- else the last. $0 is the host, $1 its last label, $[2-] the others.
---
--- ```lua
--- actions = { docroot("/var/www/vhosts/$0/htdocs", "/var/www/default"), static() }
--- ```
---@param paths string|string[] patterns of absolute paths
---@param ... any
---@return lighty.Action
function action.docroot(paths, ...) end

--- Maps URLs below a prefix to another place. The prefix only matches whole path segments; the first
--- that matches is taken.
---
--- ```lua
--- actions = { docroot "/var/www", alias { ["/icons/"] = "/usr/share/icons" }, static() }
--- ```
---@param prefixes table prefix to pattern of a path
---@param ... any
---@return lighty.Action
function action.alias(prefixes, ...) end

--- Looks for the first of these files in a directory; one that begins with / is looked up below the
--- document root. A directory without / at the end is redirected.
---
--- ```lua
--- actions = { docroot "/var/www", index("index.html", "/index.html"), static() }
--- ```
---@param files string|string[]
---@param ... any
---@return lighty.Action
function action.index(files, ...) end

--- Splits what the URL has behind an existing file off as PATH_INFO.
---
--- ```lua
--- actions = { docroot "/var/www", pathinfo(), static() }
--- ```
---@return lighty.Action
function action.pathinfo() end

--- Answers the request with a status and a body, text/plain unless a Content-Type is set.
---
--- ```lua
--- actions = respond(200, "hello %{req.host}")
--- ```
---@param status? any status code, 200 when it is left out
---@param body? string
---@return lighty.Action
function action.respond(status, body) end

--- Changes the status of a request that has been handled.
---
--- ```lua
--- actions = { respond "gone", set_status(410) }
--- ```
---@param status number
---@return lighty.Action
function action.set_status(status) end

---@class lighty.action.header
action.header = {}

--- Adds a field to the response header.
---
--- ```lua
--- actions = { header.add("X-Example", "%{req.path}"), respond "ok" }
--- ```
---@param name string
---@param value string
---@return lighty.Action
function action.header.add(name, value) end

--- Appends ", value" to the last such field of the response header, or adds one.
---
--- ```lua
--- actions = { header.append("X-Example", "%{req.path}"), respond "ok" }
--- ```
---@param name string
---@param value string
---@return lighty.Action
function action.header.append(name, value) end

--- Replaces the last such field of the response header, or adds one.
---
--- ```lua
--- actions = { header.overwrite("X-Example", "%{req.path}"), respond "ok" }
--- ```
---@param name string
---@param value string
---@return lighty.Action
function action.header.overwrite(name, value) end

--- Removes all such fields from the response header.
---
--- ```lua
--- actions = { header.remove "X-Powered-By", respond "ok" }
--- ```
---@param name string
---@return lighty.Action
function action.header.remove(name) end

---@class lighty.action.req_header
action.req_header = {}

--- Adds a field to the request header.
---
--- ```lua
--- actions = { req_header.add("X-Example", "%{req.path}"), respond "ok" }
--- ```
---@param name string
---@param value string
---@return lighty.Action
function action.req_header.add(name, value) end

--- Appends ", value" to the last such field of the request header, or adds one.
---
--- ```lua
--- actions = { req_header.append("X-Example", "%{req.path}"), respond "ok" }
--- ```
---@param name string
---@param value string
---@return lighty.Action
function action.req_header.append(name, value) end

--- Replaces the last such field of the request header, or adds one.
---
--- ```lua
--- actions = { req_header.overwrite("X-Example", "%{req.path}"), respond "ok" }
--- ```
---@param name string
---@param value string
---@return lighty.Action
function action.req_header.overwrite(name, value) end

--- Removes all such fields from the request header.
---
--- ```lua
--- actions = { req_header.remove "X-Powered-By", respond "ok" }
--- ```
---@param name string
---@return lighty.Action
function action.req_header.remove(name) end

---@class lighty.action.env
action.env = {}

--- Sets an entry of the environment; it replaces the CGI variable of that name.
---
--- ```lua
--- actions = { env.set("INFO", "%{req.path}"), respond "ok" }
--- ```
---@param name string
---@param value string
---@return lighty.Action
function action.env.set(name, value) end

--- Sets an entry of the environment unless there is one.
---
--- ```lua
--- actions = { env.add("INFO", "none"), respond "ok" }
--- ```
---@param name string
---@param value string
---@return lighty.Action
function action.env.add(name, value) end

--- Removes an entry from the environment.
---
--- ```lua
--- actions = { env.remove "INFO", respond "ok" }
--- ```
---@param name string
---@return lighty.Action
function action.env.remove(name) end

--- Removes all entries from the environment.
---
--- ```lua
--- actions = { env.clear(), respond "ok" }
--- ```
---@return lighty.Action
function action.env.clear() end

---@class lighty.action.server
action.server = {}

--- Value of the Server header and of SERVER_SOFTWARE; "" sends none.
---
--- ```lua
--- setup.server.tag "my server"
--- ```
---@param value string
---@return lighty.Action
function action.server.tag(value) end

--- Host name for requests that name none (HTTP/1.0), in SERVER_NAME.
---
--- ```lua
--- setup.server.name "example.net"
--- ```
---@param value string
---@return lighty.Action
function action.server.name(value) end

--- Answers the request by a program, a process for each request. Without a program it runs the file
--- that the URL is mapped to; what the URL has behind that file becomes PATH_INFO. Such a file must lie
--- below the document root, also behind symbolic links, and be a regular file that may be read and
--- executed: otherwise the answer is 403, or 404 when there is none. The program gets the variables of
--- CGI/1.1, PATH and what the options add, and nothing else of the server's environment; the request
--- body on stdin; and the directory that it lies in as working directory. What it writes to stderr goes
--- to the log. It is the leader of a process group, which is ended (SIGTERM, and SIGKILL after 5
--- seconds) when the program is too slow, writes too much or nonsense, and when the client leaves;
--- children in the background of one that ends by itself live on. The action returns when the head of
--- the response is there, so that later actions can look at it and change it. A program that cannot be
--- run is a 500; one that ends without a head or writes nonsense a 502, one that is too slow a 504, one
--- too many a 503. Behind the head such a fault cuts the response, as does a signal that ends the
--- program; the exit status does not count. A Location is sent to the client, also one that begins with
--- a slash. Programs that write the status line themselves (nph-) are not supported, and a query never
--- becomes arguments.
---
--- ```lua
--- actions = { docroot "/var/www",
---   when(request.path:prefix "/cgi-bin/", { cgi() }),
---   cgi { program = { "/usr/bin/python3", "/srv/app.py" }, timeout = 20, environment = { APP_MODE = "production" } } }
--- ```
---@class lighty.action.cgi
---@overload fun(program?: string|string[]|lighty.options.action.cgi, ...: any): lighty.Action
action.cgi = {}

--- Whether a request header whose name has other characters than letters, digits and "-" gets an
--- environment name of its own (X_A becomes HTTP__X_5FA), so that it cannot pass for X-A.
---
--- ```lua
--- setup.cgi.mangle_env_names(false)
--- ```
---@param value boolean
---@return lighty.Action
function action.cgi.mangle_env_names(value) end

--- Whether request bodies are kept on disk before a backend gets them. Accepted without an effect: a
--- body of known length is streamed to the application; one of unknown length is buffered, because CGI
--- needs the length.
---
--- ```lua
--- setup.buffer_request_body(false)
--- ```
---@param value boolean
---@return lighty.Action
function action.buffer_request_body(value) end

---@class lighty.action.strict
action.strict = {}

--- Whether a POST without Content-Length is answered with 411. It counts as set up, not per request.
---
--- ```lua
--- setup.strict.post_content_length(false)
--- ```
---@param value boolean
---@return lighty.Action
function action.strict.post_content_length(value) end

---@class lighty.action.keepalive
action.keepalive = {}

--- How many seconds a connection may wait for its next request; 0 leaves it to idle_timeout of the
--- setup `limits`.
---
--- ```lua
--- setup.keepalive.timeout(30)
--- ```
---@param value number
---@return lighty.Action
function action.keepalive.timeout(value) end

--- How many requests a connection may serve in all; 0 is no limit.
---
--- ```lua
--- setup.keepalive.requests(100)
--- ```
---@param value number
---@return lighty.Action
function action.keepalive.requests(value) end

---@class lighty.action.debug
action.debug = {}

--- Whether the log tells of each request what it was mapped to, who answered and how.
---
--- ```lua
--- actions = { action.debug.log_request_handling(true), respond "ok" }
--- ```
---@param value boolean
---@return lighty.Action
function action.debug.log_request_handling(value) end

--- Answers with a page of the requests in progress, the oldest first; ?con=17 shows one in full,
--- several are possible. Connections that wait for their next request are not there.
---
--- ```lua
--- actions = when(request.path:eq "/debug/connections", action.debug.show_connections())
--- ```
---@return lighty.Action
function action.debug.show_connections() end

--- Answers with the stacks of all goroutines as text: they are here what lighttpd2's event listeners
--- are there.
---
--- ```lua
--- actions = when(request.path:eq "/debug/events", action.debug.show_events())
--- ```
---@return lighty.Action
function action.debug.show_events() end

--- Answers with a profile of the memory in use, for go tool pprof. It needs no preparation, and nothing
--- is written to a file.
---
--- ```lua
--- actions = when(request.path:eq "/debug/heap", action.debug.profiler_dump())
--- ```
---@return lighty.Action
function action.debug.profiler_dump() end

--- Runs an action. When the request brings the header Luaserve-Explain, signed with the key, it is not
--- answered but explained: as JSON, every action that it met, what conditions saw, what was changed,
--- and which action decided, as `luaserve explain --server` asks for it. All of it really happens,
--- backends are asked. Put it around all actions of a site. A signature counts for one request and a
--- minute; with a wrong one the request is answered as any other. The answer shows paths and rules of
--- the server, so keep the key from others.
---
--- ```lua
--- actions = action.debug.explain("explain.key", { docroot "/var/www", static() })
--- ```
---@param key_file string file with a key of at least 16 bytes; `openssl rand -hex 32` makes one
---@param action lighty.Actions what to run
---@return lighty.Action
function action.debug.explain(key_file, action) end

--- Answers GET and HEAD with the file that the URL is mapped to. It does nothing when the request is
--- handled already, when there is no docroot or alias, and for directories. Otherwise it claims the
--- request: 405 for other methods, 404 for what does not exist, 403 for what may not be read, is no
--- regular file, lies outside of the document root behind a symbolic link, or is excluded. Files that
--- are asked for again are kept, short ones in memory and long ones open, and on Linux watched with
--- everything that leads to them: the next request sees a change. What makes no event (a write through
--- mmap, a mount) is seen within a second; on network file systems each request looks at the file, as
--- it does where the system watches nothing more (fs.inotify.max_user_watches).
---
--- ```lua
--- actions = { docroot "/var/www", index "index.html", static() }
--- ```
---@class lighty.action.static
---@overload fun(): lighty.Action
action.static = {}

--- Whether clients may ask for parts of a file.
---
--- ```lua
--- setup.static.range_requests(false)
--- ```
---@param value boolean
---@return lighty.Action
function action.static.range_requests(value) end

--- Files whose name ends like this are not sent but answered with 403.
---
--- ```lua
--- setup.static.exclude_extensions { ".php", ".htaccess", "~" }
--- ```
---@param value string|string[]
---@param ... any
---@return lighty.Action
function action.static.exclude_extensions(value, ...) end

--- Does what static does where there is a file to send, and otherwise leaves the request to the actions
--- behind it.
---
--- ```lua
--- actions = { docroot "/var/www", static_no_fail(), respond(404, "no such page") }
--- ```
---@return lighty.Action
function action.static_no_fail() end

---@class lighty.action.etag
action.etag = {}

--- What of a file goes into its ETag: a list of "inode", "mtime" and "size"; {} sends none. Leave
--- "inode" out where several servers answer for one site.
---
--- ```lua
--- setup.etag.use { "mtime", "size" }
--- ```
---@param value any
---@param ... any
---@return lighty.Action
function action.etag.use(value, ...) end

--- What the Content-Type of a file is, by the end of its path: the longest suffix wins, "" is for all
--- others, of equal ones the last counts. Without it every file is application/octet-stream, as in
--- lighttpd2. The word "default" stands for a built-in table of more than a thousand types, alone or
--- before entries of one's own, which outrank it.
---
--- ```lua
--- setup.mime_types("default", { [".log"] = "text/plain; charset=utf-8", README = "text/plain" })
--- ```
---@param value any
---@param ... any
---@return lighty.Action
function action.mime_types(value, ...) end

---@class lighty.action.stat
action.stat = {}

--- Whether files are looked at by a thread of their own. Accepted without an effect: a request has a
--- goroutine of its own, so that waiting for a disk keeps nobody else waiting.
---
--- ```lua
--- setup.stat.async(false)
--- ```
---@param value boolean
---@return lighty.Action
function action.stat.async(value) end

---@class lighty.action.vhost
action.vhost = {}

--- Runs the actions of the host that the request names.
---
--- ```lua
--- actions = vhost.map { ["example.net"] = respond "a site", default = respond(404) }
--- ```
---@param hosts table host name, in lower case, to action; "default" is for every other host
---@param ... any
---@return lighty.Action
function action.vhost.map(hosts, ...) end

--- Runs the actions of the first regular expression that matches the host name.
---
--- ```lua
--- actions = vhost.map_regex { { "\\.example\\.net$", respond "a site" }, { "default", respond(404) } }
--- ```
---@param hosts table regular expression to action, in order; "default" is for every other host
---@param ... any
---@return lighty.Action
function action.vhost.map_regex(hosts, ...) end

--- Whether the log tells which entry the host of a request has found.
---
--- ```lua
--- setup.vhost.debug(true)
--- ```
---@param value boolean
---@return lighty.Action
function action.vhost.debug(value) end

--- The rule is a base, "access" (also "now") or "modification" of the file, an optional "plus", and
--- pairs of a number and a unit. A "modification" without a file does nothing.
---
--- ```lua
--- actions = { when(request.path:match "\\.(css|js)$", { expire "access plus 1 week 2 days" }), respond "x" }
--- ```
---@param rule string
---@return lighty.Action
function action.expire(rule) end

--- Answers with 301. A target is an absolute URL, or begins with "/" (same host), "./" (same directory)
--- or "?" (same path). With pairs of a regular expression and a target the first that matches the path
--- is taken; $1 is its first group.
---
--- ```lua
--- actions = redirect { { "^/old/(.*)$", "/new/$1" }, { "^/blog", "https://blog.example.net/" } }
--- ```
---@class lighty.action.redirect
---@overload fun(rules: any, ...: any): lighty.Action
action.redirect = {}

--- Whether the log tells where clients were sent, and by which rule.
---
--- ```lua
--- setup.redirect.debug(true)
--- ```
---@param value boolean
---@return lighty.Action
function action.redirect.debug(value) end

--- Rewrites the decoded path. Behind a "?" the target sets the query too; without one the query stays.
--- The first rule that matches is taken; $1 is its first group.
---
--- ```lua
--- actions = { rewrite("^/user/([a-z]+)$", "/user.php?name=$1"), respond "%{req.path}" }
--- ```
---@class lighty.action.rewrite
---@overload fun(rules: any, ...: any): lighty.Action
action.rewrite = {}

--- Whether the log tells what addresses became, and by which rule.
---
--- ```lua
--- setup.rewrite.debug(true)
--- ```
---@param value boolean
---@return lighty.Action
function action.rewrite.debug(value) end

--- Rewrites path and query as the client sent them; the result is decoded again.
---
--- ```lua
--- actions = { rewrite_raw("^/([^?]*)", "/app/$1"), respond "%{req.path}" }
--- ```
---@param rules any a target, a pair of a regular expression and a target, or a list of pairs
---@param ... any
---@return lighty.Action
function action.rewrite_raw(rules, ...) end

--- Compresses the answer if the client accepts it; put it behind what answers the request, a backend
--- included. Of what the client likes best, zstd is taken before br, gzip and deflate. Left alone are:
--- answers that are encoded already, parts of a file, status 1xx, 204, 205, 206 and 304,
--- "Cache-Control: no-transform", more than one ETag, what is too small or of the wrong type. Otherwise
--- the answer gets Vary, and when it is compressed Content-Encoding and a weak ETag. What a slow
--- backend sends is passed on at once. A request that nobody has answered yet is left alone as well,
--- where lighttpd2 answers with 500.
---
--- ```lua
--- actions = { docroot "/var/www", static(), deflate { encodings = "br,gzip", compression_level = 6, mime_types = { "text/*", "application/json" } } }
--- ```
---@class lighty.action.deflate
---@overload fun(options?: lighty.options.action.deflate, ...: any): lighty.Action
action.deflate = {}

--- Whether to log why an answer is compressed or not.
---
--- ```lua
--- setup.deflate.debug(true)
--- ```
---@param value boolean
---@return lighty.Action
function action.deflate.debug(value) end

--- Answers GET and HEAD for a directory with a page that lists it, directories first; a click on a
--- column sorts. It does nothing when the request is handled already, and for everything that is no
--- directory. A URL without / at the end is redirected. A directory outside of the document root,
--- behind a symbolic link, is answered with 403, and what static would not send is not listed: links
--- that lead out or nowhere, sockets, devices, names with control characters. Dates are in UTC. Behind
--- userdir and rewrites the links stay right, because they are relative.
---
--- ```lua
--- actions = { docroot "/var/www", index "index.html", when(request.path:prefix "/files/", { dirlist { include_header = true, hide_header = true, exclude_suffix = { ".bak" } } }), static() }
--- ```
---@param options? lighty.options.action.dirlist
---@param ... any
---@return lighty.Action
function action.dirlist(options, ...) end

--- Maps URLs below /~user/ to a directory of that user, and takes /~user out of the path. Other URLs
--- are left alone. The path is relative to the user's home, or absolute; in it "*" is the name of the
--- user and $1 to $9 are its letters. An absolute path without the name gets it at the end. The name
--- must consist of letters, digits, _ and -. Below a home, an unknown user is answered with 404; with
--- 403 root is, like everybody with root's number, and a directory that a symbolic link leads out of
--- the home. A directory without / at the end is redirected, unlike in lighttpd2: relative links would
--- break. Homes are looked up again after 30 seconds.
---
--- ```lua
--- actions = { docroot "/var/www", userdir("public_html", { exclude = { "guest" } }), index "index.html", static() }
--- ```
---@param path string "public_html" is /home/lighty/public_html for the user lighty, "/usr/web" is /usr/web/lighty, "/users/$1/$1$2/*" is /users/l/li/lighty
---@param options? lighty.options.action.userdir
---@return lighty.Action
function action.userdir(path, options) end

---@class lighty.action.access
action.access = {}

--- Answers with 403 unless the most specific network that the client's address is in is an allowed one.
---
--- ```lua
--- actions = { access.check { allow = { "127.0.0.0/8", "10.0.0.0/8" }, deny = { "10.6.6.6" } }, respond "inside" }
--- ```
---@param rules lighty.options.action.access.check
---@param ... any
---@return lighty.Action
function action.access.check(rules, ...) end

--- Answers with 403.
---
--- ```lua
--- actions = { when(request.path:prefix "/private/", { access.deny() }), respond "public" }
--- ```
---@return lighty.Action
function action.access.deny() end

--- Whether the log tells of each client that was kept out.
---
--- ```lua
--- setup.access.log_blocked(true)
--- ```
---@param value boolean
---@return lighty.Action
function action.access.log_blocked(value) end

--- Where a client that is kept out is sent (302) instead of being answered with 403: a target as for
--- redirect; "" sends it nowhere.
---
--- ```lua
--- setup.access.redirect_url "https://www.example.net/members-only"
--- ```
---@param value string
---@return lighty.Action
function action.access.redirect_url(value) end

---@class lighty.action.auth
action.auth = {}

--- Lets users of a file with lines user:password in. It sets REMOTE_USER and AUTH_TYPE in the
--- environment; who is not known gets a 401. Put it before what answers the request: it does nothing
--- when the request is answered already. A file that cannot be read is an error when the script is
--- loaded; later, users stay as they were.
---
--- ```lua
--- actions = { auth.plain { method = "basic", realm = "members", file = "users.txt" }, respond "hello %{req.env[REMOTE_USER]}" }
--- ```
---@param options lighty.options.action.auth.plain
---@param ... any
---@return lighty.Action
function action.auth.plain(options, ...) end

--- Lets users of a file made by htpasswd in. Hashes can be bcrypt, MD5 (htpasswd -m), SHA-1 ({SHA}) and
--- what crypt(3) makes: SHA-256, SHA-512, yescrypt, MD5 and DES. The method must be "basic". It sets
--- REMOTE_USER and AUTH_TYPE in the environment; who is not known gets a 401. Put it before what
--- answers the request: it does nothing when the request is answered already. A file that cannot be
--- read is an error when the script is loaded; later, users stay as they were.
---
--- ```lua
--- actions = { when(request.path:prefix "/admin/", { auth.htpasswd { method = "basic", realm = "admin", file = "htpasswd", ttl = 60 } }), respond "hello" }
--- ```
---@param options lighty.options.action.auth.htpasswd
---@param ... any
---@return lighty.Action
function action.auth.htpasswd(options, ...) end

--- Lets users of a file made by htdigest in. Only lines of the same realm count. Digests are MD5 or
--- SHA-256; for the method "digest" there must be one algorithm that all users of the realm have. It
--- sets REMOTE_USER and AUTH_TYPE in the environment; who is not known gets a 401. Put it before what
--- answers the request: it does nothing when the request is answered already. A file that cannot be
--- read is an error when the script is loaded; later, users stay as they were.
---
--- ```lua
--- actions = { auth.htdigest { method = "digest", realm = "members", file = "htdigest" }, respond "hello" }
--- ```
---@param options lighty.options.action.auth.htdigest
---@param ... any
---@return lighty.Action
function action.auth.htdigest(options, ...) end

--- Answers with 403: logging in again would not help.
---
--- ```lua
--- actions = { when(request.environment["REMOTE_USER"]:ne "admin", { auth.deny() }), respond "hello admin" }
--- ```
---@return lighty.Action
function action.auth.deny() end

--- Logs what the auth actions decide, and why. Passwords are never logged.
---
--- ```lua
--- setup.auth.debug(true)
--- ```
---@param value boolean
---@return lighty.Action
function action.auth.debug(value) end

--- Admits only these users; put it behind an auth action. Names are compared as they are. An empty name
--- is refused: it would admit everybody who did not log in.
---
--- ```lua
--- lua.plugin "core.lua"
--- actions = { auth.plain { method = "basic", realm = "staff", file = "users.txt" },
---   auth.require_user("alice", "bob"), respond "hello" }
--- ```
---@param ... any names of users, or one list of them
---@return lighty.Action
function action.auth.require_user(...) end

---@class lighty.action.limit
action.limit = {}

--- Answers with 503 while this number of requests is in progress. A request is in progress until its
--- answer has been sent, so a slow download counts all the time.
---
--- ```lua
--- actions = { limit.con(10, respond(503, "busy, come back later")), respond "a large download" }
--- ```
---@param limit number how many are let through, at least 1
---@param action? lighty.Actions what to run beyond the limit, in place of the 503
---@return lighty.Action
function action.limit.con(limit, action) end

--- Answers with 503 while this number of requests from the client's address is in progress. Every IPv6
--- address counts for itself. Clients on a unix socket have no address: for them it is an error (500).
---
--- ```lua
--- actions = { when(request.path:prefix "/downloads/", { limit.con_ip(2) }), respond "a large download" }
--- ```
---@param limit number how many are let through, at least 1
---@param action? lighty.Actions what to run beyond the limit, in place of the 503
---@return lighty.Action
function action.limit.con_ip(limit, action) end

--- Answers with 503 beyond this number of requests in a second. The second begins with the first
--- request; behind it counting starts again.
---
--- ```lua
--- actions = { limit.req(100), respond "ok" }
--- ```
---@param limit number how many are let through, at least 1
---@param action? lighty.Actions what to run beyond the limit, in place of the 503
---@return lighty.Action
function action.limit.req(limit, action) end

--- Answers with 503 beyond this number of requests in a second from the client's address. The second
--- begins with the address's first request. Every IPv6 address counts for itself. Of more than 65536
--- addresses in a second the first ones are forgotten early. Clients on a unix socket have no address:
--- for them it is an error (500).
---
--- ```lua
--- actions = { when(request.path:eq "/login", { limit.req_ip(1, log.write "hurried: %{req.remoteip}") }), respond "ok" }
--- ```
---@param limit number how many are let through, at least 1
---@param action? lighty.Actions what to run beyond the limit, in place of the 503
---@return lighty.Action
function action.limit.req_ip(limit, action) end

---@class lighty.action.openssl
action.openssl = {}

--- Puts what is known of certificates into the environment of the request, where applications find it.
--- "client" sets SSL_CLIENT_S_DN_CN and its like, one for each part of the subject of the client's
--- certificate; "client-cert" sets SSL_CLIENT_CERT, the certificate as PEM; "server" and "server-cert"
--- set SSL_SERVER_S_DN_… and SSL_SERVER_CERT, of the server's own. Where there is no certificate
--- nothing is set. A client's certificate has been verified, unless verify_any says otherwise.
---
--- ```lua
--- actions = { openssl.setenv { "client", "client-cert" }, respond "%{req.environment[SSL_CLIENT_S_DN_CN]}" }
--- ```
---@param list string|string[] some of "client", "client-cert", "server", "server-cert"
---@param ... any
---@return lighty.Action
function action.openssl.setenv(list, ...) end

---@class lighty.action.proxy_protocol
action.proxy_protocol = {}

--- Trusts the PROXY header that the connection began with, if there was one: its addresses count from
--- here on, for all requests of the connection. Put it into a condition on request.remoteip, and early.
--- With this action any peer may send a header, and one that is not trusted is ignored; the setup of
--- this name is stricter and, where it is used, alone counts.
---
--- ```lua
--- actions = { when(request.remoteip:ip "10.0.0.0/8", { proxy_protocol.trust() }), respond "%{req.remoteip}" }
--- ```
---@return lighty.Action
function action.proxy_protocol.trust() end

--- How many bytes of further data (TLV) a PROXY header of version 2 may have; -1 leaves it to the
--- server (4096, the addresses included). It counts as set up, not per request.
---
--- ```lua
--- setup.proxy_protocol.tlv_max_length(256)
--- ```
---@param value number
---@return lighty.Action
function action.proxy_protocol.tlv_max_length(value) end

---@class lighty.action.cache
action.cache = {}

---@class lighty.action.cache.disk
action.cache.disk = {}

--- Answers a GET with the body that was kept when a response with the same ETag was sent before. What
--- makes the response comes before it in the list and is asked for its head each time: only then is the
--- ETag known; the rest of its body is not waited for. What filters before it did to the body, such as
--- deflate, is kept as well. Kept are responses of status 200 with exactly one ETag, for their host,
--- URL, type and coding; a file that is sent as it is would gain nothing and is left alone. Nothing is
--- ever removed: let cron do it (find /var/cache/site -type f -mtime +2 -delete).
---
--- ```lua
--- actions = { docroot "/var/www", static(), deflate(), cache.disk.etag "/var/cache/site" }
--- ```
---@param path string directory; it is made when something is to be kept
---@return lighty.Action
function action.cache.disk.etag(path) end

---@class lighty.action.memcached
action.memcached = {}

--- Answers a GET or HEAD with what is stored under the key: status 200, and the Content-Type that
--- mime_types has for the path of the URL. Other methods are a miss. It does nothing, neither hit nor
--- miss, when the request is answered already. Put it behind what decides who may see the answer.
---
--- ```lua
--- local page = { key = "%{req.scheme}://%{req.host}%{req.path}?%{req.query}" }
--- actions = { memcached.lookup(page, header.add("X-Memcached", "hit"), { docroot "/var/www", static(), memcached.store(page) }) }
--- ```
---@param options? lighty.options.action.memcached.lookup both actions can have the same ones: flags and ttl have no effect here
---@param hit? lighty.Actions what to run when the request was answered
---@param miss? lighty.Actions what to run when it was not
---@return lighty.Action
function action.memcached.lookup(options, hit, miss) end

--- Stores the body of the answer to a GET when all of it has been sent; put it behind what answers the
--- request. Stored are complete answers of status 200, as they are behind the filters before it. Not
--- stored are those that say they are for one client (Set-Cookie, Cache-Control: private or no-store),
--- where lighttpd2 would: remove the header first if they are not. What the request brought along,
--- cookies and Authorization, is not looked at: where the answer depends on it, have it in the key.
--- Headers are not kept, so an answer with a Content-Encoding is not stored either: put deflate behind.
---
--- ```lua
--- actions = { memcached.lookup(), docroot "/var/www", static(), memcached.store { ttl = 60, maxsize = 10000 } }
--- ```
---@param options? lighty.options.action.memcached.store
---@param ... any
---@return lighty.Action
function action.memcached.store(options, ...) end

--- Answers GET and HEAD with the file that the URL is mapped to, as video/x-flv; with ?start=12345 from
--- that byte on, behind a new file head. A start that is no number or beyond the end means the whole
--- file. What may not be sent is answered as static answers it. Current players need none of this: they
--- ask static for ranges.
---
--- ```lua
--- actions = { docroot "/var/www", when(physical.path:suffix ".flv", { expire "access 1 month", action.io.throttle(512000, 153600), flv() }), static() }
--- ```
---@return lighty.Action
function action.flv() end

--- Where the lines go: a file, to which they are appended, or "stderr"; without a value nothing is
--- logged. The file is opened when the script is loaded, and again when it is loaded again, as after a
--- rotation. Lines are written together, at most a second late. Pipes and syslog are refused: let a
--- service manager take stderr.
---
--- ```lua
--- setup.accesslog "access.log"
--- ```
---@class lighty.action.accesslog
---@overload fun(value: string): lighty.Action
action.accesslog = {}

--- What a line looks like: a format as in lighttpd2 and Apache, or "json" for an object with all there
--- is to tell. The directives are %% (a percent sign), %a (address of the client), %A (address of the
--- server), %b (bytes of the body that were sent, - for none), %B (bytes of the body that were sent),
--- %{name}C (a cookie of the request), %D (duration in microseconds), %{name}e (an entry of the
--- request's environment), %f (the file that the URL was mapped to), %h (address of the client),
--- %{name}i (a field of the request header), %I (bytes received, reckoned as HTTP/1.1, without a body
--- of unknown length), %l (always -, as in Apache's formats), %m (method), %{name}o (a field of the
--- response header), %O (bytes sent, reckoned as HTTP/1.1), %p (port of the server), %q (query), %r
--- (first line of the request), %s (status), %t (when the request began, [02/Jan/2026:15:04:05 +0100];
--- {sec}, {msec} and {usec} count since 1970), %T (duration in seconds), %u (user that is logged in),
--- %U (path of the URL), %v (server.name, or the host of the request), %V (host of the request), %X (X
--- when the answer could not be sent to its end, + when the connection could be used again, - when
--- not). A < or > behind the % means nothing. What comes from outside cannot break out of its line or
--- its quotes: quotes, backslashes and what is not printable ASCII are escaped (\", \\, \n, \x1B).
---
--- ```lua
--- setup.accesslog.format "%h %V %u %t \"%r\" %>s %b %D"
--- ```
---@param value string
---@return lighty.Action
function action.accesslog.format(value) end

---@class lighty.action.status
action.status = {}

--- Answers with a page of requests, traffic, states, the backends of balancers and the requests in
--- progress. ?format=plain gives the numbers as text, in lighttpd2's form: a connection is there a
--- request in progress, and the states that a server without a state machine does not have are 0;
--- ?mode=runtime tells of the process, ?refresh=5 has the browser come back every 5 seconds.
---
--- ```lua
--- actions = when(request.path:eq "/server-status", { access.check { allow = { "127.0.0.0/8" } }, status.info() })
--- ```
---@param mode? string "short" leaves out the process, the backends and the requests in progress
---@return lighty.Action
function action.status.info(mode) end

--- Answers with metrics for Prometheus in its text format.
---
--- ```lua
--- actions = when(request.path:eq "/metrics", { access.check { allow = { "10.0.0.0/8" } }, status.metrics() })
--- ```
---@return lighty.Action
function action.status.metrics() end

--- Names the vhost that the request is counted for in status.metrics, as the label "vhost" of requests
--- and durations.
---
--- ```lua
--- actions = { when(request.host:eq "trac.example.net", { action.status.vhost "trac" }), when(request.path:eq "/metrics", { status.metrics() }), respond "ok" }
--- ```
---@param value string
---@return lighty.Action
function action.status.vhost(value) end

--- URL of a style sheet for status.info in place of the built-in style; "" and lighttpd2's "blue" stand
--- for that one, which follows the light or dark mode of the browser.
---
--- ```lua
--- setup.status.css "/style/status.css"
--- ```
---@param value string
---@return lighty.Action
function action.status.css(value) end

---@class lighty.action.progress
action.progress = {}

--- Tracks the request if its query has an X-Progress-ID of 1 to 128 characters. Put it before the
--- action that reads the body; a request that is answered already is not tracked.
---
--- ```lua
--- actions = when(request.path:eq "/upload", { progress.track(), fastcgi "127.0.0.1:9000" })
--- ```
---@return lighty.Action
function action.progress.track() end

--- Answers with the state of the request that is tracked under the X-Progress-ID in the query; without
--- one it does nothing. The state is "unknown", "running", "done" or "error": running and done come
--- with received, sent, request_size and response_size in bytes, error with the status.
---
--- ```lua
--- actions = when(request.path:eq "/progress", { progress.show "json" })
--- ```
---@param format? string "json" (the default), "jsonp" (a call of progress, or of the function that X-Progress-Callback in the query names) or "legacy" (new Object(…))
---@return lighty.Action
function action.progress.show(format) end

--- The methods of the requests that progress.track tracks, POST by default.
---
--- ```lua
--- setup.progress.methods { "PUT", "POST" }
--- ```
---@param value string|string[]
---@param ... any
---@return lighty.Action
function action.progress.methods(value, ...) end

--- Whether the log tells what is tracked and shown.
---
--- ```lua
--- setup.progress.debug(true)
--- ```
---@param value boolean
---@return lighty.Action
function action.progress.debug(value) end

---@class lighty.action.fortune
action.fortune = {}

--- Adds a cookie to the response as X-fortune, on one line and in ASCII. Without cookies nothing is
--- added.
---
--- ```lua
--- actions = { fortune.header(), respond "hello" }
--- ```
---@return lighty.Action
function action.fortune.header() end

--- Answers GET and HEAD with a cookie.
---
--- ```lua
--- actions = when(request.path:eq "/fortune", fortune.page())
--- ```
---@return lighty.Action
function action.fortune.page() end

--- Answers the request by a FastCGI application. It returns when the head of the response is there, so
--- that later actions can look at it and change it; an application that cannot be reached is a 503, one
--- that breaks off or answers nonsense a 502, one that is too slow a 504.
---
--- ```lua
--- actions = { docroot "/var/www", fastcgi "unix:/run/php.sock" }
--- ```
---@class lighty.action.fastcgi
---@overload fun(socket: string|lighty.options.action.fastcgi, ...: any): lighty.Action
action.fastcgi = {}

--- Asks a FastCGI application in the role of an authorizer whether the request may go on (FastCGI 6.3).
--- When it answers with the status 200, it may: the header fields of that answer named Variable-NAME
--- become entries NAME of the environment, and the next action runs. Any other answer is the answer to
--- the request. The application does not see the body of the request. An application that cannot be
--- reached is a 503, one that breaks off or answers nonsense a 502, one that is too slow a 504: the
--- request never goes on then. Put it before what answers the request: it does nothing when that has
--- been done.
---
--- ```lua
--- actions = { fastcgi.authorize "unix:/run/authorize.sock", docroot "/var/www", fastcgi "unix:/run/app.sock" }
--- ```
---@param socket string|lighty.options.action.fastcgi.authorize "unix:/path" or "host:port", or a table of options
---@param ... any
---@return lighty.Action
function action.fastcgi.authorize(socket, ...) end

--- Whether what an application writes to stderr goes to the log without time and place. Accepted
--- without an effect: such lines are messages of the log as all others, with the address of the
--- backend.
---
--- ```lua
--- setup.fastcgi.log_plain_errors(true)
--- ```
---@param value boolean
---@return lighty.Action
function action.fastcgi.log_plain_errors(value) end

--- Answers the request by an SCGI application. It returns when the head of the response is there, so
--- that later actions can look at it and change it; an application that cannot be reached is a 503, one
--- that breaks off or answers nonsense a 502, one that is too slow a 504. The end of the connection is
--- the end of the response, so let the application send a Content-Length: only then a response that
--- broke off can be told from a complete one. Connections are never kept, so keep_alive,
--- idle_connections and idle_time have no effect.
---
--- ```lua
--- actions = { docroot "/var/www", scgi "unix:/run/app.sock" }
--- ```
---@param socket string|lighty.options.action.scgi "unix:/path" or "host:port", or a table of options
---@param ... any
---@return lighty.Action
function action.scgi(socket, ...) end

--- Answers the request by a HTTP/1.1 server. It gets the method, the address (request.raw_path, byte
--- for byte), the header fields with Host, and the body; X-Forwarded-For and X-Forwarded-Proto are
--- replaced by what the connection says. It returns when the head of the response is there, so that
--- later actions can look at it and change it; a server that cannot be reached is a 503, one that
--- breaks off or answers nonsense a 502, one that is too slow a 504. Connections are kept open for
--- later requests. A client may go over to WebSocket: then bytes are passed on both ways until both
--- sides have ended, or neither has sent any for the read timeout. Fields behind the body (trailers)
--- are passed on to a client that asks for them with TE: trailers, unless a filter or a later action
--- changes the body.
---
--- ```lua
--- actions = proxy "127.0.0.1:8080"
--- ```
---@param socket string|lighty.options.action.proxy "unix:/path" or "host:port", or a table of options
---@param ... any
---@return lighty.Action
function action.proxy(socket, ...) end

---@class lighty.action.accel
action.accel = {}

--- Answers in place of a backend that names a path in X-Accel-Redirect: the path, with a query if there
--- is one, becomes that of the request, and the actions run, as if a client had asked for it by GET or
--- HEAD. Only these actions can answer, so what they reach may be closed to all other requests. Of the
--- backend's header Content-Type, Content-Disposition, Accept-Ranges, Set-Cookie, Cache-Control and
--- Expires stay, as in nginx. Put it right behind the backend. A value that is no path, or an answer
--- that redirects again more than 8 times, is a 502.
---
--- ```lua
--- actions = { fastcgi "unix:/run/app.sock", accel.redirect { alias { "/protected/", "/srv/files/" }, static() } }
--- ```
---@param actions lighty.Actions what answers
---@param ... any
---@return lighty.Action
function action.accel.redirect(actions, ...) end

---@class lighty.action.balance
action.balance = {}

--- Round robin: the backends take turns.
---
--- ```lua
--- actions = balance.rr { fastcgi "127.0.0.1:9090", fastcgi "127.0.0.1:9091" }
--- ```
---@param backends lighty.Actions|lighty.options.action.balance.rr[]|lighty.options.action.balance.rr an action, or a list with an action for each backend, or a table with that list as "backends" and other options
---@param ... any
---@return lighty.Action
function action.balance.rr(backends, ...) end

--- Shortest queue first: the backend with the fewest requests in progress, the first of several.
---
--- ```lua
--- actions = balance.sqf {
---   backends = { proxy "10.0.0.1:8080", { action = proxy "10.0.0.2:8080", weight = 3 } },
---   max_in_flight = 20, backlog = 500, wait = 5,
---   check = { path = "/health", interval = 2 },
--- }
--- ```
---@param backends lighty.Actions|lighty.options.action.balance.sqf[]|lighty.options.action.balance.sqf an action, or a list with an action for each backend, or a table with that list as "backends" and other options
---@param ... any
---@return lighty.Action
function action.balance.sqf(backends, ...) end

--- Least time: the backend where the next request is likely to wait the least. That is its time to the
--- first byte of an answer, as an average of the last seconds, times its requests in progress. One that
--- was not used for some seconds is tried again.
---
--- ```lua
--- actions = balance.least_time { proxy "10.0.0.1:8080", proxy "10.0.0.2:8080" }
--- ```
---@param backends lighty.Actions|lighty.options.action.balance.least_time[]|lighty.options.action.balance.least_time an action, or a list with an action for each backend, or a table with that list as "backends" and other options
---@param ... any
---@return lighty.Action
function action.balance.least_time(backends, ...) end

--- Consistent hashing: the same key always has the same backend, also on other servers and after a
--- restart. A backend that is taken away, fails or is full leaves its keys to all the others, and no
--- other key moves; one that is added gets its share from all the others. What a backend is known by is
--- its name: the address, unless the table has another one as "name".
---
--- ```lua
--- actions = balance.hash("%{req.path}", { proxy "10.0.0.1:8080", proxy "10.0.0.2:8080" })
--- ```
---@param key string what decides on the backend
---@param backends lighty.Actions|lighty.options.action.balance.hash[]|lighty.options.action.balance.hash an action, or a list with an action for each backend, or a table with that list as "backends" and other options
---@return lighty.Action
function action.balance.hash(key, backends) end

--- Logs which backend each request is given to.
---
--- ```lua
--- setup.balance.debug(true)
--- ```
---@param value boolean
---@return lighty.Action
function action.balance.debug(value) end

---@class lighty.action.lua
action.lua = {}

--- Runs the global "actions" of a Lua file, which has a heap of its own and is loaded when it is first
--- needed.
---
--- ```lua
--- actions = lua.handler("handler.lua", { ttl = 300 }, { greeting = "hello" })
--- ```
---@param file string
---@param options? lighty.options.action.lua.handler
---@param args? any handed to the file as its second argument
---@return lighty.Action
function action.lua.handler(file, options, args) end

---@class lighty.action.core
action.core = {}

--- Mounts a WSGI application below a URL prefix. The path is split into SCRIPT_NAME, where the
--- application is mounted, and PATH_INFO, what it routes by (PEP 3333): SCRIPT_NAME never ends with a
--- slash, PATH_INFO is empty or begins with one. The prefix only takes whole path segments: "/trac"
--- takes "/trac" and "/trac/wiki", but not "/tracker". A prefix "/trac/" takes only what is below it.
---
--- ```lua
--- lua.plugin "core.lua"
--- actions = core.wsgi("/trac", { fastcgi "unix:/run/trac.sock" })
--- ```
---@param prefix string "", or a path that begins with "/"
---@param app lighty.Actions what runs the application
---@return lighty.Action
function action.core.wsgi(prefix, app) end

--- Serves page.html for /page, where an application left one. Nothing changes when the URL leads to a
--- file already or ends with ".html". Put it behind docroot; look at physical.is_file afterwards.
---
--- ```lua
--- lua.plugin "core.lua"
--- actions = { docroot "/var/www", core.cached_html(), static() }
--- ```
---@return lighty.Action
function action.core.cached_html() end

--- Sends the file that a backend names in "X-Sendfile". Put it behind the backend. The file takes the
--- place of the body; status and headers stay the backend's, but X-Sendfile itself never reaches the
--- client. With a docroot the file must be a regular one below it, symbolic links resolved. A file that
--- may not or cannot be sent is an error (500).
---
--- ```lua
--- lua.plugin "core.lua"
--- actions = { fastcgi "unix:/run/app.sock", core.xsendfile "/srv/files/" }
--- ```
---@param docroot? string a directory; without one any file can be sent
---@return lighty.Action
function action.core.xsendfile(docroot) end

--- Maps links that were signed and have not expired to files. A link is prefix .. md5 .. "/" .. time ..
--- file, where time is the Unix time in hexadecimal digits, file begins with a slash, and md5 is the
--- hexadecimal MD5 of secret .. file .. time. Other URLs below the prefix are answered with 403,
--- expired links with 410. Put it before static.
---
--- ```lua
--- lua.plugin "secdownload.lua"
--- actions = { secdownload { prefix = "/sec/", ["document-root"] = "/secret/path", secret = "abc", timeout = 600 }, static() }
--- ```
---@param options table "prefix" ("/"), "document-root", "secret", and "timeout" in seconds (60)
---@param ... any
---@return lighty.Action
function action.secdownload(options, ...) end

--- Setups are called while the script is loaded.
---@class lighty.setup
setup = {}

--- Listens on an address: "127.0.0.1:8080", "[::1]:8080", "unix:/run/site.sock"; without a port it is
--- port 80. "systemd:" are all sockets that systemd has opened for the server (socket activation),
--- "systemd:web" those with FileDescriptorName=web. The file of a unix socket is removed at the end;
--- one that is there already is replaced if nobody answers on it.
---
--- ```lua
--- setup.listen { "127.0.0.1:8080", { address = "unix:/run/site.sock", mode = "0660" } }
--- ```
---@param address string|string[]|lighty.options.setup.listen[]|lighty.options.setup.listen an address, a table, or a list of these
---@param ... any
function setup.listen(address, ...) end

--- Sets what the server lets clients ask for, and how long it waits for them. It may be called again;
--- options that a call does not name stay as they are. Connections that are open when a reload changes
--- the limits have the new ones from their next request on.
---
--- ```lua
--- setup.limits { body_bytes = 100 * 2^20, connections = 10000, connections_per_ip = 100, body_timeout = 30 }
--- ```
---@param limits lighty.options.setup.limits
---@param ... any
function setup.limits(limits, ...) end

---@class lighty.setup.io
setup.io = {}

--- Sets how long a client may make no progress while it sends a request body or takes an answer:
--- body_timeout and write_timeout of the setup `limits`.
---
--- ```lua
--- setup.io.timeout(120)
--- ```
---@param timeout number seconds, a positive number
function setup.io.timeout(timeout) end

--- Names modules to load. Accepted without an effect: all modules are built in.
---
--- ```lua
--- setup.module_load { "mod_fastcgi", "mod_expire" }
--- ```
---@param modules string|string[] a name or a list of names
---@param ... any
function setup.module_load(modules, ...) end

--- Sets the number of threads, at least 1. Accepted without an effect: all cores are used; the
--- environment variable GOMAXPROCS sets another number.
---
--- ```lua
--- setup.workers(2)
--- ```
---@class lighty.setup.workers
---@overload fun(count: number)
setup.workers = {}

--- Binds threads to processors. Accepted without an effect: requests are not bound to threads; taskset
--- and systemd's CPUAffinity bind the whole server.
---
--- ```lua
--- setup.workers.cpu_affinity { 0, 1 }
--- ```
---@param mapping any a list of numbers, or of lists of them
---@param ... any
function setup.workers.cpu_affinity(mapping, ...) end

---@class lighty.setup.tasklet_pool
setup.tasklet_pool = {}

--- Sets the number of threads for tasks that block. Accepted without an effect: a request has a
--- goroutine of its own and may block.
---
--- ```lua
--- setup.tasklet_pool.threads(4)
--- ```
---@param threads number
function setup.tasklet_pool.threads(threads) end

--- Where the messages about requests go, by their level: debug, info, warning, error, backend (what
--- applications write to stderr), and default for all others (also written "*"); abort is accepted,
--- there are no such messages. A target is a file, to which is appended ("file:/path" or a path),
--- "stderr" for the server's own log, or "" to drop them. A file gets the levels that name it, whatever
--- the level of the server's own log; what is not named goes there. Files are opened when the script is
--- loaded, and again when it is loaded again, as after a rotation. What is no matter of a request, like
--- a failed reload, always goes to the server's own log. Pipes and syslog are refused: let a service
--- manager take stderr.
---
--- ```lua
--- setup.log { error = "error.log", backend = "backend.log", default = "stderr" }
--- ```
---@class lighty.setup.log
---@overload fun(value: table, ...: any)
setup.log = {}

--- Sets the form of the times in the log. Accepted without an effect: the times in the log have one
--- form (RFC 3339), which every log reader knows.
---
--- ```lua
--- setup.log.timestamp "%d/%b/%Y %T %Z"
--- ```
---@param format string for strftime
function setup.log.timestamp(format) end

---@class lighty.setup.server
setup.server = {}

--- Value of the Server header and of SERVER_SOFTWARE; "" sends none.
---
--- ```lua
--- setup.server.tag "my server"
--- ```
---@param value string
function setup.server.tag(value) end

--- Host name for requests that name none (HTTP/1.0), in SERVER_NAME.
---
--- ```lua
--- setup.server.name "example.net"
--- ```
---@param value string
function setup.server.name(value) end

---@class lighty.setup.cgi
setup.cgi = {}

--- Whether a request header whose name has other characters than letters, digits and "-" gets an
--- environment name of its own (X_A becomes HTTP__X_5FA), so that it cannot pass for X-A.
---
--- ```lua
--- setup.cgi.mangle_env_names(false)
--- ```
---@param value boolean
function setup.cgi.mangle_env_names(value) end

--- Whether request bodies are kept on disk before a backend gets them. Accepted without an effect: a
--- body of known length is streamed to the application; one of unknown length is buffered, because CGI
--- needs the length.
---
--- ```lua
--- setup.buffer_request_body(false)
--- ```
---@param value boolean
function setup.buffer_request_body(value) end

---@class lighty.setup.strict
setup.strict = {}

--- Whether a POST without Content-Length is answered with 411. It counts as set up, not per request.
---
--- ```lua
--- setup.strict.post_content_length(false)
--- ```
---@param value boolean
function setup.strict.post_content_length(value) end

---@class lighty.setup.keepalive
setup.keepalive = {}

--- How many seconds a connection may wait for its next request; 0 leaves it to idle_timeout of the
--- setup `limits`.
---
--- ```lua
--- setup.keepalive.timeout(30)
--- ```
---@param value number
function setup.keepalive.timeout(value) end

--- How many requests a connection may serve in all; 0 is no limit.
---
--- ```lua
--- setup.keepalive.requests(100)
--- ```
---@param value number
function setup.keepalive.requests(value) end

---@class lighty.setup.debug
setup.debug = {}

--- Whether the log tells of each request what it was mapped to, who answered and how.
---
--- ```lua
--- actions = { action.debug.log_request_handling(true), respond "ok" }
--- ```
---@param value boolean
function setup.debug.log_request_handling(value) end

--- Lists the event listeners that are left when the server ends. The times must not be negative.
--- Accepted without an effect: there are no event listeners that could keep the server alive; it says
--- itself what it waits for.
---
--- ```lua
--- setup.debug.show_events_after_shutdown(5, 15)
--- ```
---@param timeout number seconds
---@param repeat_? number seconds
function setup.debug.show_events_after_shutdown(timeout, repeat_) end

---@class lighty.setup.stat_cache
setup.stat_cache = {}

--- Sets how long it is remembered whether a file exists and what it is, for the conditions physical.*
--- and for docroot, index and pathinfo. 0, the default here, remembers nothing beyond the request. What
--- is sent does not depend on it: the action static sends no file that has changed before the request.
---
--- ```lua
--- setup.stat_cache.ttl(10)
--- ```
---@param ttl number seconds
function setup.stat_cache.ttl(ttl) end

---@class lighty.setup.static
setup.static = {}

--- Whether clients may ask for parts of a file.
---
--- ```lua
--- setup.static.range_requests(false)
--- ```
---@param value boolean
function setup.static.range_requests(value) end

--- Files whose name ends like this are not sent but answered with 403.
---
--- ```lua
--- setup.static.exclude_extensions { ".php", ".htaccess", "~" }
--- ```
---@param value string|string[]
---@param ... any
function setup.static.exclude_extensions(value, ...) end

---@class lighty.setup.etag
setup.etag = {}

--- What of a file goes into its ETag: a list of "inode", "mtime" and "size"; {} sends none. Leave
--- "inode" out where several servers answer for one site.
---
--- ```lua
--- setup.etag.use { "mtime", "size" }
--- ```
---@param value any
---@param ... any
function setup.etag.use(value, ...) end

--- What the Content-Type of a file is, by the end of its path: the longest suffix wins, "" is for all
--- others, of equal ones the last counts. Without it every file is application/octet-stream, as in
--- lighttpd2. The word "default" stands for a built-in table of more than a thousand types, alone or
--- before entries of one's own, which outrank it.
---
--- ```lua
--- setup.mime_types("default", { [".log"] = "text/plain; charset=utf-8", README = "text/plain" })
--- ```
---@param value any
---@param ... any
function setup.mime_types(value, ...) end

---@class lighty.setup.stat
setup.stat = {}

--- Whether files are looked at by a thread of their own. Accepted without an effect: a request has a
--- goroutine of its own, so that waiting for a disk keeps nobody else waiting.
---
--- ```lua
--- setup.stat.async(false)
--- ```
---@param value boolean
function setup.stat.async(value) end

---@class lighty.setup.vhost
setup.vhost = {}

--- Whether the log tells which entry the host of a request has found.
---
--- ```lua
--- setup.vhost.debug(true)
--- ```
---@param value boolean
function setup.vhost.debug(value) end

---@class lighty.setup.redirect
setup.redirect = {}

--- Whether the log tells where clients were sent, and by which rule.
---
--- ```lua
--- setup.redirect.debug(true)
--- ```
---@param value boolean
function setup.redirect.debug(value) end

---@class lighty.setup.rewrite
setup.rewrite = {}

--- Whether the log tells what addresses became, and by which rule.
---
--- ```lua
--- setup.rewrite.debug(true)
--- ```
---@param value boolean
function setup.rewrite.debug(value) end

---@class lighty.setup.deflate
setup.deflate = {}

--- Whether to log why an answer is compressed or not.
---
--- ```lua
--- setup.deflate.debug(true)
--- ```
---@param value boolean
function setup.deflate.debug(value) end

---@class lighty.setup.access
setup.access = {}

--- Whether the log tells of each client that was kept out.
---
--- ```lua
--- setup.access.log_blocked(true)
--- ```
---@param value boolean
function setup.access.log_blocked(value) end

--- Where a client that is kept out is sent (302) instead of being answered with 403: a target as for
--- redirect; "" sends it nowhere.
---
--- ```lua
--- setup.access.redirect_url "https://www.example.net/members-only"
--- ```
---@param value string
function setup.access.redirect_url(value) end

---@class lighty.setup.auth
setup.auth = {}

--- Logs what the auth actions decide, and why. Passwords are never logged.
---
--- ```lua
--- setup.auth.debug(true)
--- ```
---@param value boolean
function setup.auth.debug(value) end

--- Listens for TLS connections. An address without a port is one with port 443.
---
--- ```lua
--- setup.openssl { listen = { "0.0.0.0:443", "[::]:443" }, pemfile = "server.pem" }
--- ```
---@param options lighty.options.setup.openssl
---@param ... any
function setup.openssl(options, ...) end

--- Listens for TLS connections. An address without a port is one with port 443.
---
--- ```lua
--- setup.gnutls { listen = { "0.0.0.0:443", "[::]:443" }, pemfile = { cert = "server.pem", key = "server.pem" } }
--- ```
---@param options lighty.options.setup.gnutls
---@param ... any
function setup.gnutls(options, ...) end

---@class lighty.setup.fetch
setup.fetch = {}

--- Names files by what a star in their path stands for, for sni_backend. New files are found as changed
--- ones are.
---
--- ```lua
--- setup.fetch.files_static("sni", "/etc/certs/sni_*.pem")
--- ```
---@param name string
---@param pattern string a path with exactly one *
function setup.fetch.files_static(name, pattern) end

---@class lighty.setup.proxy_protocol
setup.proxy_protocol = {}

--- Trusts the PROXY headers of these peers, on all listeners. A connection of one of them must begin
--- with a header, and one of anybody else must not: it is closed otherwise. A header without addresses
--- (LOCAL, UNKNOWN) leaves those of the connection.
---
--- ```lua
--- setup.proxy_protocol.trust { "10.0.0.0/8", "2001:db8::1" }
--- ```
---@param peers string|string[] networks or addresses; "unix:" for those who connect to a unix socket
---@param ... any
function setup.proxy_protocol.trust(peers, ...) end

--- How many bytes of further data (TLV) a PROXY header of version 2 may have; -1 leaves it to the
--- server (4096, the addresses included). It counts as set up, not per request.
---
--- ```lua
--- setup.proxy_protocol.tlv_max_length(256)
--- ```
---@param value number
function setup.proxy_protocol.tlv_max_length(value) end

--- Where the lines go: a file, to which they are appended, or "stderr"; without a value nothing is
--- logged. The file is opened when the script is loaded, and again when it is loaded again, as after a
--- rotation. Lines are written together, at most a second late. Pipes and syslog are refused: let a
--- service manager take stderr.
---
--- ```lua
--- setup.accesslog "access.log"
--- ```
---@class lighty.setup.accesslog
---@overload fun(value: string)
setup.accesslog = {}

--- What a line looks like: a format as in lighttpd2 and Apache, or "json" for an object with all there
--- is to tell. The directives are %% (a percent sign), %a (address of the client), %A (address of the
--- server), %b (bytes of the body that were sent, - for none), %B (bytes of the body that were sent),
--- %{name}C (a cookie of the request), %D (duration in microseconds), %{name}e (an entry of the
--- request's environment), %f (the file that the URL was mapped to), %h (address of the client),
--- %{name}i (a field of the request header), %I (bytes received, reckoned as HTTP/1.1, without a body
--- of unknown length), %l (always -, as in Apache's formats), %m (method), %{name}o (a field of the
--- response header), %O (bytes sent, reckoned as HTTP/1.1), %p (port of the server), %q (query), %r
--- (first line of the request), %s (status), %t (when the request began, [02/Jan/2026:15:04:05 +0100];
--- {sec}, {msec} and {usec} count since 1970), %T (duration in seconds), %u (user that is logged in),
--- %U (path of the URL), %v (server.name, or the host of the request), %V (host of the request), %X (X
--- when the answer could not be sent to its end, + when the connection could be used again, - when
--- not). A < or > behind the % means nothing. What comes from outside cannot break out of its line or
--- its quotes: quotes, backslashes and what is not printable ASCII are escaped (\", \\, \n, \x1B).
---
--- ```lua
--- setup.accesslog.format "%h %V %u %t \"%r\" %>s %b %D"
--- ```
---@param value string
function setup.accesslog.format(value) end

---@class lighty.setup.status
setup.status = {}

--- Names the vhost that the request is counted for in status.metrics, as the label "vhost" of requests
--- and durations.
---
--- ```lua
--- actions = { when(request.host:eq "trac.example.net", { action.status.vhost "trac" }), when(request.path:eq "/metrics", { status.metrics() }), respond "ok" }
--- ```
---@param value string
function setup.status.vhost(value) end

--- URL of a style sheet for status.info in place of the built-in style; "" and lighttpd2's "blue" stand
--- for that one, which follows the light or dark mode of the browser.
---
--- ```lua
--- setup.status.css "/style/status.css"
--- ```
---@param value string
function setup.status.css(value) end

---@class lighty.setup.progress
setup.progress = {}

--- Sets for how long the state of a request that is over can be shown, 30 seconds by default.
---
--- ```lua
--- setup.progress.ttl(60)
--- ```
---@param ttl number seconds
function setup.progress.ttl(ttl) end

--- The methods of the requests that progress.track tracks, POST by default.
---
--- ```lua
--- setup.progress.methods { "PUT", "POST" }
--- ```
---@param value string|string[]
---@param ... any
function setup.progress.methods(value, ...) end

--- Whether the log tells what is tracked and shown.
---
--- ```lua
--- setup.progress.debug(true)
--- ```
---@param value boolean
function setup.progress.debug(value) end

---@class lighty.setup.fortune
setup.fortune = {}

--- Loads cookies from a file, in addition to those of other files. Each line is one; in a file with
--- lines of nothing but %, as fortune(6) has them, each text between two of those is one. Control
--- characters are dropped.
---
--- ```lua
--- setup.fortune.load "fortunes.txt"
--- ```
---@param filename string
function setup.fortune.load(filename) end

---@class lighty.setup.fastcgi
setup.fastcgi = {}

--- Whether what an application writes to stderr goes to the log without time and place. Accepted
--- without an effect: such lines are messages of the log as all others, with the address of the
--- backend.
---
--- ```lua
--- setup.fastcgi.log_plain_errors(true)
--- ```
---@param value boolean
function setup.fastcgi.log_plain_errors(value) end

---@class lighty.setup.balance
setup.balance = {}

--- Logs which backend each request is given to.
---
--- ```lua
--- setup.balance.debug(true)
--- ```
---@param value boolean
function setup.balance.debug(value) end

---@class lighty.setup.lua
setup.lua = {}

--- Loads a file that sets the globals "actions" and "setups" to tables of functions. core.lua and
--- secdownload.lua are built in.
---
--- ```lua
--- lua.plugin "core.lua"
--- ```
---@param file string looked for beside the script, in the working directory, and among the built-in ones
---@param options? any a table of options; there are none yet
---@param args? any handed to the file as its second argument
function setup.lua.plugin(file, options, args) end

--- Sets how many Lua states the handlers of this script run in. Without it there is one a core, or a
--- single one when handlers write to variables of the script.
---
--- ```lua
--- setup.lua.states(1)
--- ```
---@param count number
function setup.lua.states(count) end

--- Sets what the functions of this script may do while requests are handled: "handler", as it is
--- without this setup, refuses to run commands and to change Lua's libraries; "trusted" allows
--- everything. docs/security.md describes the levels.
---
--- ```lua
--- setup.lua.sandbox("handler", { allow = { "io.popen" } })
--- ```
---@param level string
---@param options? lighty.options.setup.lua.sandbox
function setup.lua.sandbox(level, options) end

-- the same names without action and setup before them

accel = action.accel
access = action.access
accesslog = action.accesslog
alias = action.alias
auth = action.auth
balance = action.balance
buffer_request_body = action.buffer_request_body
cache = action.cache
cgi = action.cgi
core = action.core
deflate = action.deflate
dirlist = action.dirlist
docroot = action.docroot
env = action.env
etag = action.etag
expire = action.expire
fastcgi = action.fastcgi
fetch = setup.fetch
flv = action.flv
---@type lighty.action.fortune|lighty.setup.fortune
fortune = nil
gnutls = setup.gnutls
header = action.header
index = action.index
keepalive = action.keepalive
limit = action.limit
limits = setup.limits
list = action.list
listen = setup.listen
---@type lighty.action.log|lighty.setup.log
log = nil
---@type lighty.action.lua|lighty.setup.lua
lua = nil
map = action.map
map_cidr = action.map_cidr
memcached = action.memcached
mime_types = action.mime_types
module_load = setup.module_load
---@type lighty.action.openssl|fun(options: lighty.options.setup.openssl, ...: any)
openssl = nil
pathinfo = action.pathinfo
---@type lighty.action.progress|lighty.setup.progress
progress = nil
proxy = action.proxy
---@type lighty.action.proxy_protocol|lighty.setup.proxy_protocol
proxy_protocol = nil
redirect = action.redirect
req_header = action.req_header
respond = action.respond
rewrite = action.rewrite
rewrite_raw = action.rewrite_raw
scgi = action.scgi
secdownload = action.secdownload
server = action.server
set_status = action.set_status
stat = action.stat
stat_cache = setup.stat_cache
static = action.static
static_no_fail = action.static_no_fail
status = action.status
strict = action.strict
tasklet_pool = setup.tasklet_pool
userdir = action.userdir
vhost = action.vhost
when = action.when
workers = setup.workers
