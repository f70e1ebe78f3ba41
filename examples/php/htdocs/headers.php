<?php
// A head that is longer than some servers allow for a line, and two fields of one name.
http_response_code(418);
header('X-Long: ' . str_repeat('long ', 600) . 'end');
setcookie('first', 'a b', 0, '/');
setcookie('second', '2', 0, '/', '', false, true);
header('Content-Type: text/plain');
echo "a short body\n";
