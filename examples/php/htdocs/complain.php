<?php
error_log('the script is not content');
echo "fine\n";
