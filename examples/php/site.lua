-- A site of PHP files and static files, with php-fpm behind it.
--
--   luaserve run examples/php/site.lua
--
-- PHP_SOCKET is the socket of php-fpm, /run/php/php-fpm.sock if it is not set.

setup.listen "127.0.0.1:8080"
setup.mime_types "default"
setup.static.exclude_extensions { ".php" } -- never show a source

local dir = (...):match "^(.*)/" or "."
if dir:sub(1, 1) ~= "/" then
  dir = os.getenv "PWD" .. "/" .. dir -- php-fpm runs in another directory
end
local socket = os.getenv "PHP_SOCKET" or "/run/php/php-fpm.sock"

actions = {
  docroot(dir .. "/htdocs"),
  index("index.php", "index.html"),
  pathinfo(),
  when(all { physical.is_file, physical.path:suffix ".php" }, { fastcgi("unix:" .. socket) }, { static() }),
}
