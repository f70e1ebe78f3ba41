<?php
// Dies after half of the answer, as a worker does that runs out of memory.
header('Content-Type: text/plain');
if (isset($_GET['length'])) {
    header('Content-Length: 1000000');
}
echo str_repeat("half\n", 20000);
flush();
usleep(100000);
exec('kill -9 ' . getmypid());
