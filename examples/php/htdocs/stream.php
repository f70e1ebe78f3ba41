<?php
header('Content-Type: text/plain');
for ($i = 1; $i <= 5; $i++) {
    echo "line $i\n";
    flush();
    usleep(200000);
}
